"""Learning the camera graph from people who were seen by several cameras."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streamreid.config.association import TopologyConfig, TransitConfig

__all__ = ["CameraPass", "LearntWay", "learn_topology"]

_TOGETHER = 0.5  # seconds in both pictures that count as seen by both


@dataclass(frozen=True, slots=True)
class CameraPass:
    """One track of one person.

    Args:
        person: Global id.
        camera: Where.
        start: Capture time in seconds.
        end: Capture time in seconds.
        probability: Of the link.
    """

    person: int
    camera: str
    start: float
    end: float
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class LearntWay:
    """What was seen of two cameras.

    Args:
        first: Camera that people left (for overlaps the one that comes first in the alphabet).
        then: Camera that they came to.
        people: Different people who went there, or were seen by both.
        least: Shortest time in seconds; 0 for overlaps.
        median: Usual time.
        most: Longest time.
        overlap: Whether both were seen at one time.
    """

    first: str
    then: str
    people: int
    least: float
    median: float
    most: float
    overlap: bool


def learn_topology(
    sightings: Iterable[CameraPass],
    *,
    probability: float = 0.8,
    people: int = 3,
    share: float = 0.3,
    margin: float = 0.25,
    closed: bool = False,
) -> tuple[TopologyConfig, list[LearntWay]]:
    """Ways and overlaps from confident links.

    Two cameras overlap if enough people were in both pictures at one time, and these are not few among the people of
    both. A way leads from one camera to another if enough people were seen there next. A tenth of the times at either
    end is taken for wrong links; beyond the rest there is a margin.

    Args:
        sightings: Tracks with their identities.
        probability: Less sure links are ignored.
        people: Different people that make a way.
        share: Of the people seen by both cameras, how many must have been seen by both at one time.
        margin: Least and greatest times are moved apart by this share.
        closed: Say in the result that there are no other ways.
    """
    seen: dict[int, list[CameraPass]] = defaultdict(list)
    for one in sightings:
        if one.probability >= probability:
            seen[one.person].append(one)
    together: dict[tuple[str, str], set[int]] = defaultdict(set)
    both: dict[tuple[str, str], set[int]] = defaultdict(set)
    gaps: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for person, tracks in sorted(seen.items()):
        _add(person, sorted(tracks, key=lambda s: (s.start, s.camera)), together, both, gaps)
    overlap = {pair for pair, who in together.items() if len(who) >= people and len(who) >= share * len(both[pair])}
    ways = [LearntWay(a, b, len(together[a, b]), 0.0, 0.0, 0.0, overlap=True) for a, b in sorted(overlap)]
    transits = []
    for (first, then), times in sorted(gaps.items()):
        who = {person for person, _ in times}
        if len(who) < people or (min(first, then), max(first, then)) in overlap:
            continue
        low, middle, high = (float(v) for v in np.quantile([t for _, t in times], (0.1, 0.5, 0.9)))
        ways.append(LearntWay(first, then, len(who), low, middle, high, overlap=False))
        least, most = round(max(0.0, low * (1 - margin) - 0.1), 2), round(high * (1 + margin) + 1.0, 2)
        transits.append(
            TransitConfig.model_validate({"from": first, "to": then, "min": least, "max": most, "both_ways": False})
        )
    return TopologyConfig(overlap=tuple(sorted(overlap)), transits=tuple(transits), closed=closed), ways


def _add(
    person: int,
    tracks: list[CameraPass],
    together: dict[tuple[str, str], set[int]],
    both: dict[tuple[str, str], set[int]],
    gaps: dict[tuple[str, str], list[tuple[int, float]]],
) -> None:
    cameras = sorted({t.camera for t in tracks})
    for i, a in enumerate(cameras):
        for b in cameras[i + 1 :]:
            both[a, b].add(person)
    for i, one in enumerate(tracks):
        for two in tracks[i + 1 :]:
            if one.camera != two.camera and min(one.end, two.end) - max(one.start, two.start) >= _TOGETHER:
                together[min(one.camera, two.camera), max(one.camera, two.camera)].add(person)
    for one, two in pairwise(tracks):
        if one.camera != two.camera and two.start > one.end:
            gaps[one.camera, two.camera].append((person, two.start - one.end))
