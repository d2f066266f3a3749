"""The machines of a cluster: what each has, whether workers fit, and whether what is installed there agrees with this
machine. Nothing here needs Ray."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, inf

from streamreid.config import ClusterConfig
from streamreid.errors import ClusterError
from streamreid.runs.storage import STORED

__all__ = ["Machine", "Report", "check_alone", "check_reports", "count_room", "fitting"]

_GIB = 2**30

_SHOWN = 5
"""Machines, or files, that a message names; more do not fit on a screen."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a cluster.

    Args:
        node: Ray's id of it.
        name: Its host name.
        address: Its IP address.
        cpus: CPU cores that it offers.
        gpus: GPUs that it offers.
        memory: Bytes that it offers.
        labels: As `ray start --labels` gave them.
    """

    node: str
    name: str
    address: str
    cpus: float = 0.0
    gpus: float = 0.0
    memory: float = inf
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.name != self.address else self.address

    def room(self, config: ClusterConfig, labels: Mapping[str, str]) -> int:
        """How many workers fit on it; 0 where a label is missing."""
        if any(self.labels.get(key) != value for key, value in labels.items()):
            return 0
        room = self.cpus / config.cores
        if config.gpus:
            # A worker's share must lie on one GPU, or be whole GPUs.
            room = min(room, floor(1 / config.gpus) * floor(self.gpus) if config.gpus < 1 else self.gpus / config.gpus)
        if config.memory:
            room = min(room, self.memory / config.memory)
        return floor(room + 1e-6)  # Ray counts in ten-thousandths

    def lacks(self, config: ClusterConfig, labels: Mapping[str, str]) -> str:
        """Why no worker fits, for a message."""
        wrong = [
            f"label {k}={self.labels[k]} instead of {v}" if k in self.labels else f"no label {k}={v}"
            for k, v in labels.items()
            if self.labels.get(k) != v
        ]
        if config.gpus and self.gpus < config.gpus:
            wrong.append(f"{self.gpus:g} GPUs" if self.gpus else "no GPU")
        if self.cpus < config.cores:
            wrong.append(f"{self.cpus:g} CPU cores")
        if config.memory and self.memory < config.memory:
            wrong.append(f"{self.memory / _GIB:.1f} GiB of memory")
        return f"{self}: {', '.join(wrong) or 'fits'}"


def fitting(machines: Sequence[Machine], config: ClusterConfig, labels: Mapping[str, str]) -> list[Machine]:
    """The machines on which at least one worker fits.

    Raises:
        ClusterError: There is none; the message says of each machine what it lacks.
    """
    found = [m for m in machines if m.room(config, labels)]
    if found:
        return found
    asked = [f"{config.cores:g} CPU cores"]
    asked += [f"{config.gpus:g} GPUs"] if config.gpus else []
    asked += [f"{config.memory / _GIB:.1f} GiB of memory"] if config.memory else []
    asked += [f"label {key}={value}" for key, value in labels.items()]
    lines = "".join(f"\n  {m.lacks(config, labels)}" for m in machines[:_SHOWN])
    more = f"\n  and {len(machines) - _SHOWN} more" if len(machines) > _SHOWN else ""
    raise ClusterError(
        f"no machine of the cluster has what a worker asks for ({', '.join(asked)}):{lines}{more}\n"
        "Change cluster.cpus, cluster.gpus, cluster.memory or cluster.labels, or start Ray there with what it has "
        "(ray start --num-gpus, --labels)"
    )


def check_alone(config: ClusterConfig, cores: int, gpus: int | None) -> None:
    """Whether a worker fits on this machine, where Ray is to be started (local).

    Args:
        config: What a worker asks for.
        cores: CPU cores of this machine.
        gpus: Its GPUs; None if that is not known.

    Raises:
        ClusterError: It does not fit.
    """
    labels = config.labels or next((rule.labels for rule in config.placement), {})
    if labels:
        named = ", ".join(f"{key}={value}" for key, value in labels.items())
        raise ClusterError(
            f"cluster.labels and cluster.placement ask for a machine with {named}, but the cluster that is started "
            "here (local) is this machine alone, which has no labels: leave them out, or join a cluster (auto, "
            "ray://HEAD:10001) whose machines have them"
        )
    if config.cores > cores:
        raise ClusterError(
            f"cluster.cpus asks for {config.cores:g} CPU cores for each worker, but this machine "
            f"({socket.gethostname()}) has {cores}: write {cores} or less, or leave it out"
        )
    if gpus is not None and config.gpus > gpus:
        raise ClusterError(
            f"cluster.gpus asks for {config.gpus:g} GPUs for each worker, but this machine ({socket.gethostname()}) "
            f"has {gpus or 'no GPU'}: leave it out, or join a cluster (auto, ray://HEAD:10001) that has some"
        )


def count_room(machines: Sequence[Machine], config: ClusterConfig, labels: Mapping[str, str]) -> int:
    """Workers that fit on all machines together."""
    return sum(m.room(config, labels) for m in machines)


@dataclass(frozen=True, slots=True)
class Report:
    """What a machine says of itself.

    Args:
        machine: Which.
        problem: Why it could say nothing; then the rest is empty.
        python: Version of its Python.
        streamreid: Version of streamreid there; None if it is not installed.
        sizes: Bytes of the files that were asked for, None for one that is not there, -1 for a folder.
        detector: Checksum of the detector there; None if it is not there.
        engine: Fingerprint of the ReID engine there; None if it is not there.
        unreached: Why addresses of storage are not reached from there.
    """

    machine: Machine
    problem: str = ""
    python: str = ""
    streamreid: str | None = None
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    detector: str | None = None
    engine: str | None = None
    unreached: Mapping[str, str] = field(default_factory=dict)


def check_reports(reports: Sequence[Report], *, python: str, streamreid: str, sizes: Mapping[str, int]) -> None:
    """Every machine must answer, have the same streamreid, and see the files.

    Args:
        reports: Of the machines.
        python: Version of Python here; the first two numbers must agree.
        streamreid: Version of streamreid here.
        sizes: Bytes of the files here, by path; -1 for a folder.

    Raises:
        ClusterError: Some do not; each is named with what is wrong.
    """
    wrong = [line for report in reports if (line := _disagreement(report, python, streamreid, sizes))]
    if wrong:
        more = f"\n  and {len(wrong) - _SHOWN} more machines" if len(wrong) > _SHOWN else ""
        raise ClusterError("machines of the cluster do not fit:\n  " + "\n  ".join(wrong[:_SHOWN]) + more)


def _disagreement(report: Report, python: str, streamreid: str, sizes: Mapping[str, int]) -> str:
    if report.problem:
        return f"{report.machine}: {report.problem}"
    if report.streamreid is None:
        return (
            f"{report.machine}: streamreid is not installed for its Python {report.python}; install {streamreid} there"
            ", with the extra 'cluster'"
        )
    if report.streamreid != streamreid:
        return (
            f"{report.machine}: streamreid {report.streamreid}, but {streamreid} here; install one version everywhere"
        )
    if report.python.split(".")[:2] != python.split(".")[:2]:
        return f"{report.machine}: Python {report.python}, but {python} here; use one version of Python everywhere"
    if report.unreached:
        return f"{report.machine}: {next(iter(report.unreached.values()))}"
    missing = [path for path in sizes if report.sizes.get(path) is None]
    other = [path for path in sizes if path not in missing and report.sizes[path] != sizes[path]]
    if missing or other:
        paths = missing or other
        named = ", ".join(f"'{p}'" for p in paths[:_SHOWN]) + (
            f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        )
        if any(sizes[path] == STORED for path in paths):
            return f"{report.machine}: finds nothing at {named}"
        what = "does not see" if missing else "sees another file (of another size) as"
        return f"{report.machine}: {what} {named}; put it on storage that all machines mount at the same path"
    return ""
