"""What is known of a graph without reading it once more: kept beside its compiled forms, for the next start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from streamreid.runtimes.base import TensorInfo

__all__ = ["GraphDescription"]


@dataclass(frozen=True, slots=True)
class GraphDescription:
    """A graph as its file says it is.

    Args:
        inputs: Its inputs.
        outputs: Its outputs.
        metadata: What its exporter wrote into the file.
        quantised: Whether it has layers of eight bits.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: Mapping[str, str]
    quantised: bool

    def to_bytes(self) -> bytes:
        """As it is kept."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> GraphDescription | None:
        """What `to_bytes` gave; None for anything else."""
        try:
            found = json.loads(data)
            inputs, outputs = (
                tuple(TensorInfo(t["name"], tuple(t["shape"]), t["dtype"]) for t in found[side])
                for side in ("inputs", "outputs")
            )
            return cls(inputs, outputs, dict(found["metadata"]), bool(found["quantised"]))
        except (ValueError, KeyError, TypeError):
            return None
