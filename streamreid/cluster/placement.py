"""Which worker reads which camera: as few moves as possible. Nothing here needs Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamreid.config import ClusterConfig

__all__ = ["WorkerPlan", "least_loaded", "plan_workers"]


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """A worker that is to be started.

    Args:
        labels: That its machine must have.
        cameras: That it reads.
    """

    labels: Mapping[str, str]
    cameras: tuple[str, ...]


def plan_workers(cameras: Sequence[str], config: ClusterConfig, *, stay: bool = False) -> list[WorkerPlan]:
    """Workers for the cameras of a run.

    Cameras whose machines must have the same labels share workers, each as many as the others, give or take one. With
    ``workers``, groups get workers by their numbers of cameras, and each at least one.

    Args:
        cameras: Names, in the order of the configuration.
        config: ``workers``, ``cameras_per_worker``, ``labels``, ``placement``.
        stay: Whether cameras may come later: then there is at least one worker, and as many as ``workers`` says.
    """
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for camera in cameras:
        groups.setdefault(tuple(sorted(config.labels_of([camera]).items())), []).append(camera)
    sizes = [len(group) for group in groups.values()]
    counts = [math.ceil(size / config.cameras_per_worker) for size in sizes]
    if config.workers is not None:
        counts = _shares(sizes, config.workers)
    plans = []
    for (labels, group), count in zip(groups.items(), counts, strict=True):
        for number in range(count):
            # Every count-th: cameras beside each other in the file are often beside each other on the wall, and are
            # then not lost together.
            plans.append(WorkerPlan(dict(labels), tuple(group[number::count])))
    least = (config.workers or 1) if stay else 0
    plans += [WorkerPlan(config.labels, ())] * max(least - len(plans), 0)
    return plans


def _shares(sizes: Sequence[int], workers: int) -> list[int]:
    """How many workers each group gets: the next one goes where the most cameras share one, none has more workers than
    cameras."""
    counts = [1] * len(sizes)
    while sum(counts) < workers:
        open_groups = [n for n, size in enumerate(sizes) if counts[n] < size]
        if not open_groups:
            break
        counts[max(open_groups, key=lambda n: (sizes[n] / counts[n], -n))] += 1
    return counts


def least_loaded(
    labels: Mapping[str, str], workers: Mapping[str, tuple[Mapping[str, str], int]], without: str | None = None
) -> str | None:
    """The worker that takes a camera over: of those with the same labels, the one with the fewest cameras.

    Args:
        labels: That the camera's machine must have.
        workers: By name: labels of its machine, and how many cameras it reads. The first of equals is taken.
        without: One that may not be taken.
    """
    fitting = {name: count for name, (has, count) in workers.items() if dict(has) == dict(labels) and name != without}
    return min(fitting, key=lambda name: fitting[name], default=None)
