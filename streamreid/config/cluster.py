"""Where the work of a run or a batch goes: to workers on a Ray cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from streamreid._sections import Section, advanced, basic
from streamreid.config.output import as_bytes

__all__ = ["ClusterConfig", "PlacementRule"]

_ADDRESS = re.compile(r"local|auto|ray://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")
"""Ray's own forms; a head without a port is refused because Ray takes drivers and machines at different ports."""


def _known_form(address: str | None) -> str | None:
    if address is not None and _ADDRESS.fullmatch(address) is None:
        raise ValueError(
            "write local (Ray on this machine, for as long as the command runs), auto (the cluster that this machine "
            "belongs to) or ray://HEAD:10001 (the port for drivers, not 6379)"
        )
    return address


def _one_or_more(labels: dict[str, str]) -> dict[str, str]:
    if not labels:
        raise ValueError("name at least one label, such as {site: north}")
    return labels


def _as_texts(value: Any) -> Any:
    """YAML reads `rack: 7` and `gpu: true` as a number and a truth value; labels are texts."""
    if isinstance(value, dict):
        words = {True: "true", False: "false"}
        return {str(k): words[v] if isinstance(v, bool) else str(v) for k, v in value.items() if v is not None}
    return value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Labels = Annotated[dict[str, str], BeforeValidator(_as_texts)]


class PlacementRule(Section):
    """Machines that some cameras belong to, for example those at the same site."""

    cameras: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(
        min_length=1, description="Names of cameras, or patterns of names with * and ?."
    )
    labels: Annotated[Labels, AfterValidator(_one_or_more)] = Field(
        description="Labels that the machine must have: `ray start --labels site=north`."
    )


class ClusterConfig(Section):
    """Workers on a Ray cluster (extra `cluster`)."""

    address: Annotated[str | None, AfterValidator(_known_form)] = Field(
        default=None,
        description=(
            "local starts Ray on this machine for as long as the command runs; auto joins the cluster that this "
            "machine belongs to; ray://HEAD:10001 is a cluster elsewhere. Empty: no cluster, all in this process."
        ),
        json_schema_extra=basic(),
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description=(
            "Worker processes. Empty: as many as the cluster has room for (batch), or as cameras_per_worker asks for "
            "(run, serve)."
        ),
        json_schema_extra=basic(
            "processes",
            low="Machines stand idle.",
            high="Workers wait for room on the cluster, or get little of a processor each.",
        ),
    )
    cameras_per_worker: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="Cameras that one worker takes at most, where `workers` is empty.",
        json_schema_extra=basic(
            "cameras",
            low="More processes, each with its own detector and engine in memory.",
            high="A worker falls behind its cameras, and more cameras stand still when one is lost.",
        ),
    )
    cpus: float | None = Field(
        default=None,
        gt=0,
        le=1024,
        description=(
            "CPU cores that each worker takes of its machine; its detector and engine use so many threads. Empty: 1, "
            "or this machine's cores by the number of workers where Ray is started here (local)."
        ),
        json_schema_extra=basic(
            "cores", low="More workers than cores, which wait for each other.", high="Cores stand idle between frames."
        ),
    )
    gpus: float = Field(
        default=0.0,
        ge=0,
        le=64,
        description="GPUs that each worker takes of its machine; 0.5 puts two workers on one GPU.",
        json_schema_extra=basic(
            "GPUs", low="At 0 a worker sees no GPU; small shares fill its memory.", high="A GPU waits for decoding."
        ),
    )
    memory: Annotated[int | None, BeforeValidator(as_bytes)] = Field(
        default=None,
        ge=2**20,
        description=(
            "Memory that each worker takes of its machine, in bytes or as 2GB: no worker is placed where less is "
            "free. Ray does not hold a worker to it."
        ),
        json_schema_extra=advanced(
            "bytes",
            low="A machine runs out of memory, and Ray ends a worker there.",
            high="Fewer workers than would fit.",
        ),
    )
    labels: Labels = Field(
        default={},
        description="Labels that the machines of all workers must have.",
    )
    placement: tuple[PlacementRule, ...] = Field(
        default=(),
        description="Machines that cameras belong to; the first rule that names a camera counts.",
    )
    standby: bool = Field(
        default=True,
        description=(
            "Whether a second process stands by for the site of live cameras, and takes over within a second or two "
            "of its end. It takes some 200 MB; without it Ray starts another one first, which takes some seconds."
        ),
    )
    leases: Literal["gallery", "site"] = Field(
        default="gallery",
        description=(
            "Who keeps the right to read a camera: a gallery in PostgreSQL, which every worker must reach then, or the "
            "site. Without such a gallery it is the site."
        ),
    )
    lease_seconds: float | None = Field(
        default=None,
        ge=1,
        le=300,
        description=(
            "Seconds that a worker may read a camera without renewing the right to it. Empty: 4 where the gallery is "
            "in PostgreSQL, else 10, so that cameras are read on while the process of the site is started again."
        ),
        json_schema_extra=advanced(
            "seconds",
            low="Cameras stop where the database or the site is away for some seconds.",
            high="Cameras of a machine that was lost or cut off stand still for longer.",
        ),
    )
    attempts: int = Field(
        default=3,
        ge=1,
        le=100,
        description="How often a recording of a batch is begun whose worker dies, before it counts as failed.",
    )

    @property
    def cores(self) -> float:
        """CPU cores of each worker."""
        return 1.0 if self.cpus is None else self.cpus

    def sized(self, cores: int, workers: int | None) -> ClusterConfig:
        """The same with ``cpus`` where it was left empty and Ray is started on this machine: workers share its cores,
        as detector and engine of one process have all of them.

        Args:
            cores: Of this machine.
            workers: That will run; None where as many will as there is room for.
        """
        if self.address != "local" or self.cpus is not None or workers is None:
            return self
        return self.model_copy(update={"cpus": float(max(1, cores // workers))})

    def labels_of(self, cameras: Sequence[str]) -> dict[str, str]:
        """Labels that the machine of a worker with these cameras must have.

        Args:
            cameras: Names. The first that a rule names decides.
        """
        for camera in cameras:
            for rule in self.placement:
                if any(fnmatchcase(camera, pattern) for pattern in rule.cameras):
                    return {**self.labels, **rule.labels}
        return dict(self.labels)
