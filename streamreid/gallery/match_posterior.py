"""How probably a query shows somebody, given that others may be meant and who was seen elsewhere at that moment.

The engine's calibration compares one pair at even odds: it says how much more probable a similarity is for one person
than for two; ``Match.evidence`` takes all views of a person together. Of the N people who may be meant one at most is
the one who is searched for. With likelihood ratios L_i, and the probability q, before anything was looked at, that the
person is in the gallery at all (any of the N as well as any other),

    P(i) = L_i q/N / (1 - q + sum_j L_j q/N)        P(none) = (1 - q) / (1 - q + sum_j L_j q/N)

which is Bayes' rule for N + 1 exclusive hypotheses. Two identities may turn out to be one person; with S_ij the
probability of that (S_ii = 1), by the same rule for the views of i,

    P'(i) = sum_j S_ij P(j)

so that somebody who has two identities is found twice and not half. Who cannot be meant has L = 0: people said to be
different, and, where the query is an identity of the gallery, everybody seen beside it by one camera at one time, or by
another camera that never saw anybody at the same time as the first. Whoever may be the same person as one of those
can be meant so much less: L_i is multiplied by 1 - S_ia for each identity a of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from streamreid.errors import GalleryError
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.records import TrackRecord
from streamreid.gallery.search import MOST_ODDS, GallerySearch, Match
from streamreid.types import PartFeatures

__all__ = ["PRIOR", "apart_from", "compete", "identify", "views_of"]

PRIOR = 0.5
"""Probability that the person who is searched for is in the gallery, where nothing is known about that."""

LEAST_OVERLAP = 0.5
"""Seconds for which two appearances must overlap to be at one time: clocks of cameras and ends of tracks are not more
exact."""
_COMPETITORS = 100
"""People who share the probability of a search; those less alike weigh nothing."""

_NAMESAKES = 20
"""Most alike identities that are compared with each other, as they may be one person twice: pairs grow with the
square."""

_NEGLIGIBLE = 0.01
"""Identities below are not compared with each other."""


def identify(
    store: Gallery,
    looking: GallerySearch,
    features: PartFeatures | None = None,
    *,
    identity: int | None = None,
    without: Collection[int] = (),
    prior: float = PRIOR,
    top: int = _COMPETITORS,
) -> list[Match]:
    """Who a query shows, each with the probability given all others; the most probable first.

    Args:
        store: The gallery.
        looking: Over its views, with the calibration of the gallery or the engine.
        features: Views of one person; None takes those of ``identity``.
        identity: The query is this identity of the gallery: it is left out, and who cannot be the same person has no
            probability.
        without: Further global ids to leave out.
        prior: Probability, before looking, that the person is in the gallery, in (0, 1]; 1 rules "none of these" out.
        top: Most people returned; more may share the probability.

    Raises:
        GalleryError: There are no views of the identity.
    """
    who = 0 if identity is None else store.resolve(identity)
    views = views_of(store, identity or 0) if features is None else features
    left_out = {*without, who} - {0}
    apart = apart_from(store, who) if who else set()
    matches = looking.search(views, max(top, _COMPETITORS), without=left_out)
    people = len(looking.people() - left_out - apart)
    matches = _elsewhere(store, looking, matches, people, apart)
    return _joined(store, looking, compete(matches, apart=apart, prior=prior, people=people), people, apart)[:top]


def views_of(store: Gallery, identity: int) -> PartFeatures:
    """All views of an identity.

    Raises:
        GalleryError: There are none.
    """
    who = store.resolve(identity)
    blocks = list(store.prototypes(ids=[who])) if who else []
    if not blocks:
        raise GalleryError(
            f"gallery '{store.address}' has no views of identity {identity} (see `streamreid gallery list`)"
        )
    return PartFeatures.concatenate([b.features for b in blocks])


def compete(
    matches: Sequence[Match], *, apart: Collection[int] = (), prior: float = PRIOR, people: int | None = None
) -> list[Match]:
    """Matches with the probability that each alone is meant, given all of them; the most probable first.

    Args:
        matches: Everybody who may be meant, from ``GallerySearch.search``.
        apart: Global ids of people who cannot be meant; their probability is 0.
        prior: Probability that one of them is meant, before looking, in (0, 1].
        people: How many people may be meant, N, with those who are too little alike to be among the matches;
            default: the matches.
    """
    if not matches:
        return []
    count = max(people if people is not None else sum(m.global_id not in apart for m in matches), 1)
    odds = np.array([-np.inf if m.evidence is None or m.global_id in apart else m.evidence for m in matches])
    nobody = np.log(1.0 - prior) - np.log(prior) + np.log(count) if prior < 1 else -np.inf
    top = max(nobody, float(odds.max()))
    weights = np.exp(odds - top) if np.isfinite(top) else np.zeros(len(matches))
    chances = weights / max(np.exp(nobody - top) + weights.sum(), 1e-300) if np.isfinite(top) else weights
    return _sorted(replace(m, probability=float(p)) for m, p in zip(matches, chances, strict=True))


def _sorted(matches: Iterable[Match]) -> list[Match]:
    return sorted(matches, key=lambda m: (-m.probability, -m.similarity))


def _elsewhere(
    store: Gallery, looking: GallerySearch, matches: list[Match], people: int, apart: Collection[int]
) -> list[Match]:
    """The matches with the evidence lowered of those who may be the same person as somebody who cannot be meant."""
    if not apart:
        return matches
    changed = {}
    for match in sorted(matches, key=lambda m: -(m.evidence or -MOST_ODDS))[:_NAMESAKES]:
        if match.global_id not in apart and _alone(match, people) > _NEGLIGIBLE:
            found = looking.search(views_of(store, match.global_id), len(apart), among=apart)
            free = float(np.prod([1.0 - _alone(m, people) for m in found]))
            lowered = (match.evidence or 0.0) + np.log(max(free, np.exp(-MOST_ODDS)))
            changed[match.global_id] = replace(match, evidence=float(lowered))
    return [changed.get(m.global_id, m) for m in matches]


def _joined(
    store: Gallery, looking: GallerySearch, matches: list[Match], people: int, apart: Collection[int]
) -> list[Match]:
    """The matches with the probability that each is meant, alone or as another identity of the same person."""
    ids = [m.global_id for m in matches[:_NAMESAKES] if m.probability > _NEGLIGIBLE and m.global_id not in apart]
    if len(ids) < 2:
        return matches
    same = np.eye(len(ids))
    for row, who in enumerate(ids):
        rivals = [i for i in ids if i != who]
        # One at a time: that one of them is the same person does not speak against another.
        likely = {
            m.global_id: _alone(m, people) for m in looking.search(views_of(store, who), len(rivals), among=rivals)
        }
        impossible = apart_from(store, who) if max(likely.values(), default=0.0) > _NEGLIGIBLE else set()
        for column, other in enumerate(ids):
            if other in likely and other not in impossible:
                same[row, column] = likely[other]
    same = np.minimum(same, same.T)
    np.fill_diagonal(same, 1.0)
    alone = {m.global_id: m.probability for m in matches}
    joint = dict(zip(ids, np.minimum(same @ [alone[i] for i in ids], 1.0).tolist(), strict=True))
    return _sorted(replace(m, probability=joint.get(m.global_id, m.probability)) for m in matches)


def _alone(match: Match, people: int) -> float:
    """Probability that two identities are one person, of ``people`` who may be, whoever else may be."""
    odds = (match.evidence if match.evidence is not None else -MOST_ODDS) - np.log(max(people, 1))
    return float(1.0 / (1.0 + np.exp(-odds)))


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
