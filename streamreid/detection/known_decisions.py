"""How a detector is fed and read, remembered from one start to the next: trying it compiles a graph that nothing else
needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from streamreid._version import __version__
from streamreid.config import DetectorConfig
from streamreid.detection.detector_trial import DECISION, Decision
from streamreid.detection.recognition import PROVEN
from streamreid.runtimes.compile_cache import read_json, write_json
from streamreid.weights import cache_folder

__all__ = ["KnownDecision"]

_SMALL = 1 << 20
"""Bytes of a graph below which trying it costs as little as looking up what was found."""


class KnownDecision:
    """What an earlier start decided about a graph, if it did.

    Args:
        graph: The file.
        checksum: SHA-256 of all files of the graph; '' where it is not known, so that nothing is remembered.
        metadata: What lies beside the graph and says how it is read.
        config: What was asked for.
    """

    def __init__(self, graph: Path, checksum: str, metadata: Mapping[str, str], config: DetectorConfig) -> None:
        asked = config.model_dump(
            mode="json",
            include={"head", "boxes", "color", "pixels", "resize", "classes", "runtime", "precision"},
        )
        key = json.dumps([__version__, checksum, dict(metadata), asked], sort_keys=True)
        known = checksum and graph.stat().st_size >= _SMALL
        name = f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        self._path = cache_folder() / "detectors" / name if known else None

    def get(self) -> Decision | None:
        """The decision; None if there is none yet."""
        try:
            return None if self._path is None else DECISION.validate_python(read_json(self._path))
        except ValidationError:
            return None

    def put(self, decision: Decision) -> None:
        """Remember a decision. One that drawn people did not prove is told anew at every start."""
        if self._path is not None and decision.people >= PROVEN:
            write_json(self._path, json.loads(decision.text()))
