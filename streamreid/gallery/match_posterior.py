"""How probably a query shows somebody, given that others may be meant and who was seen elsewhere at that moment.

The engine's calibration compares one pair at even odds: it says how much more probable a similarity is for one person
than for two. Of N people one at most is the one who is searched for, so with likelihood ratios L_i and equal prior for
each of them and for "none of these"

    P(i) = L_i / (1 + sum_j L_j),        P(none) = 1 / (1 + sum_j L_j)

which is Bayes' rule for one of N + 1 exclusive hypotheses. Who cannot be meant has L = 0: people said to be different,
and, where the query is an identity of the gallery, everybody seen beside it by one camera at one time, or by another
camera that never saw anybody at the same time as the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.records import TrackRecord
from streamreid.gallery.search import Match

__all__ = ["apart_from", "compete"]

LEAST_OVERLAP = 0.5
"""Seconds for which two appearances must overlap to be at one time: clocks of cameras and ends of tracks are not more
exact."""
MOST_ODDS = 30.0
"""Log-odds beyond which a calibration says nothing more."""


def compete(
    matches: Sequence[Match], calibration: Calibration | SiteCalibration, *, apart: Collection[int] = ()
) -> list[Match]:
    """Matches with the probability that each is meant, given all of them; the most probable first.

    Args:
        matches: Everybody who may be meant, from ``GallerySearch.search``.
        calibration: Turns similarity into log-odds.
        apart: Global ids of people who cannot be meant; their probability is 0.
    """
    if not matches:
        return []
    odds = np.clip(
        calibration.log_odds(np.array([m.similarity for m in matches], np.float32)).astype(float), -MOST_ODDS, MOST_ODDS
    )
    odds[[m.global_id in apart for m in matches]] = -np.inf
    top = max(0.0, float(odds.max()))
    weights = np.exp(odds - top)
    chances = weights / (np.exp(-top) + weights.sum())
    return sorted(
        (replace(m, probability=float(p)) for m, p in zip(matches, chances, strict=True)),
        key=lambda m: (-m.probability, -m.similarity),
    )


def apart_from(store: Gallery, who: int) -> set[int]:
    """Everybody who cannot be somebody: said to be different, or seen elsewhere at the same time."""
    said = {
        i for c in store.constraints() if c.kind == "different" and who in (c.one, c.other) for i in (c.one, c.other)
    }
    everything = list(store.track_records([r.global_id for r in store.identities()]).values())
    together = _overlapping_cameras(everything)
    mine = [a for a in everything if a.global_id == who]
    others = defaultdict(list)
    for a in everything:
        if a.global_id != who:
            others[a.run].append(a)
    seen = {
        a.global_id
        for one in mine
        for a in others[one.run]
        if _overlap(one, a) and (a.camera == one.camera or frozenset((a.camera, one.camera)) not in together)
    }
    return (said | seen) - {who}


def _overlap(one: TrackRecord, other: TrackRecord) -> bool:
    return min(one.end, other.end) - max(one.start, other.start) >= LEAST_OVERLAP


def _overlapping_cameras(appearances: Sequence[TrackRecord]) -> set[frozenset[str]]:
    """Pairs of cameras that saw one person at one time, so that two identities seen by them at one time may be one
    person."""
    people: dict[tuple[str, int], list[TrackRecord]] = defaultdict(list)
    for a in appearances:
        people[a.run, a.global_id].append(a)
    return {
        frozenset((a.camera, b.camera))
        for seen in people.values()
        for number, a in enumerate(seen)
        for b in seen[number + 1 :]
        if a.camera != b.camera and _overlap(a, b)
    }
