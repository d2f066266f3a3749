"""Which pairs of tracks and older identities can matter to a decision, and the evidence for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.link_model import Sides, link_log_odds, pair_terms
from streamreid.association.older_evidence import Held, OlderEvidence
from streamreid.association.pair_graph import LinkBound, PairGraph, all_pairs, rising
from streamreid.association.similarity_cache import SimilarityCache
from streamreid.association.site_adaptation import AnyCalibration
from streamreid.association.time_relations import TimeRelations
from streamreid.association.topology import CameraGraph, PairedPresences, Presences
from streamreid.association.track_graph import CERTAIN, STICKY
from streamreid.config.association import LinkConfig
from streamreid.types import BoolArray, Float64Array, FloatArray, TrackKey

__all__ = ["LATE", "PairWeighing"]

LATE = -4.0
"""Log-odds of having taken longer than the direct way takes at most."""

Codes = NDArray[np.int64]
"""Pairs of N nodes: first node * N + second node; the first is the lesser one."""


@dataclass(eq=False)
class PairWeighing:
    """N nodes, first the T tracks, then older identities, and what is needed to weigh any pair of them.

    Args:
        keys: The tracks.
        past: Global ids of the older identities.
        before: ``[N]`` global id so far; 0 if none.
        seen: When and where each node was seen.
        both: Crops and quality of each.
        crowd: ``[N]`` how many people each is one of.
        pairs: How alike the tracks are.
        near: How alike a track is to an older identity that it may be, and the share of parts that both saw.
        levels: ``[T, 2]`` how much more than most the tracks look like strangers, of their own camera and of others.
        times: What was learnt of how the times of two tracks relate.
        place: ``[T, T]`` log-odds by place; None says nothing.
        held: What places and times say of tracks being older identities.
        link: Weights of the terms.
        calibration: From similarity to log-odds.
        graph: What the camera graph forbids.
        book: What was said by people.
    """

    keys: list[TrackKey]
    past: list[int]
    before: NDArray[np.int64]
    seen: Presences
    both: Sides
    crowd: FloatArray
    pairs: SimilarityCache
    near: Mapping[TrackKey, Mapping[int, tuple[float, float]]]
    levels: FloatArray
    times: TimeRelations
    place: FloatArray | None
    held: OlderEvidence
    link: LinkConfig
    calibration: AnyCalibration
    graph: CameraGraph
    book: IdentityRegistry
    _near_code: Codes | None = None
    _near_values: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.before)

    # ---------------------------------------------------------------- which pairs

    def candidates(self, threshold: float) -> Codes:
        """Pairs that can matter at this threshold of log-odds, rising."""
        found = [self._likely(threshold), self._by_looks()[0], self._believed()]
        return rising(np.concatenate([*found, self._older_places[0]]))

    def _likely(self, threshold: float) -> Codes:
        """Pairs of tracks whose evidence may reach the threshold."""
        tracks = len(self.keys)
        start, end = self.seen.start[: self.seen.rows], self.seen.end[: self.seen.rows]
        seconds = max(float(start.max() - end.min()), 0.0) if len(start) else 0.0
        at_most = self.link.strangers * self._slope * max(-float(self.levels.min(initial=0.0)), 0.0)
        at_most += self.link.times * self.times.most
        bound = LinkBound.of(self.link, crowd=float(self.crowd[0]) if tracks else 1.0, seconds=seconds, more=at_most)
        if self.place is None:
            least = bound.least_similarity(self.calibration, threshold)
            one, two = self.pairs.likely(self.keys, least, faint=bound.unseen >= threshold)
        else:
            most = np.float32(self.link.place) * self.place
            if self.pairs.empty:  # boxes alone
                most += np.float32(bound.unseen)
            else:
                similarity, common = self.pairs.select(self.keys)
                most += bound.at_most(self.calibration.log_odds(similarity), common)
            one, two = np.nonzero(most >= threshold - 0.01)
            one, two = one[one < two], two[one < two]
        return np.asarray(one * len(self) + two, np.int64)

    def _by_looks(self) -> tuple[Codes, FloatArray]:
        """Pairs of tracks with older identities that look alike, rising, and ``[P, 2]`` similarity and common share."""
        if self._near_code is None or self._near_values is None:
            column = {g: len(self.keys) + i for i, g in enumerate(self.past)}
            code, values = [], []
            for row, key in enumerate(self.keys if self.near else ()):
                for gid, value in self.near.get(key, {}).items():
                    if gid in column:
                        code.append(row * len(self) + column[gid])
                        values.append(value)
            order = np.argsort(code)
            self._near_code = np.array(code, np.int64)[order]
            self._near_values = np.array(values, np.float32).reshape(-1, 2)[order]
        return self._near_code, self._near_values

    def _believed(self) -> Codes:
        """Pairs that were believed to be one person before, or that a person said something about."""
        of_one: defaultdict[int, list[int]] = defaultdict(list)
        for row, gid in enumerate(self.before[: len(self.keys)].tolist()):
            if gid:
                of_one[gid].append(row)
        anchors, said = self._said
        must = self._of_tracks[0]
        meant: defaultdict[int, list[int]] = defaultdict(list)
        if said.any():
            for row, gid in enumerate(anchors.tolist()):
                if gid:
                    meant[gid].append(row)
        groups: Iterable[list[int]] = [rows for found in (of_one, meant) for rows in found.values() if len(rows) > 1]
        found = all_pairs(groups, len(self))
        return rising(np.concatenate([found, must])) if len(must) else found

    @cached_property
    def _of_tracks(self) -> tuple[Codes, Codes]:
        """Pairs that people said are one person, and two, track by track."""
        must, cannot = self.book.pairs.rows(self.keys, self.past, self.book.owner)
        return must[:, 0] * len(self) + must[:, 1], cannot[:, 0] * len(self) + cannot[:, 1]

    @cached_property
    def _said(self) -> tuple[NDArray[np.int64], BoolArray]:
        """``[N]`` which identity a person said that each is, 0 if none, and whether a person said so."""
        said = [self.book.anchor(k) for k in self.keys] if self.book.anchored else [0] * len(self.keys)
        anchors = np.array(said + self.past, np.int64)
        return anchors, np.array([bool(a) for a in said] + [False] * len(self.past), bool)

    # ---------------------------------------------------------------- evidence

    def weigh(self, code: Codes) -> PairGraph:
        """The evidence for some pairs, with what was believed and said."""
        one, two = np.divmod(code, max(len(self), 1))
        similarity, common = self._likeness(code, one, two)
        place = None if self.place is None else self._by_place(one, two)
        paired = PairedPresences(self.seen, one, two)
        gap, other = paired.gaps()
        terms = pair_terms(
            common,
            self.calibration.log_odds(similarity),
            Sides(
                np.minimum(self.both.crops[one], self.both.crops[two]),
                np.minimum(self.both.quality[one], self.both.quality[two]),
            ),
            gap=gap,
            other=other,
            strangers=self._by_strangers(one, two, other > 0),
            times=self._by_times(one, two),
            crowd=self.crowd[two],
            place=place,
        )
        log_odds = link_log_odds(self.link, terms)
        log_odds += np.float32(self.link.exclusion)
        weight = common if place is None else np.maximum(common, (np.abs(place) > 0.1).astype(np.float32))
        forbidden = paired.simultaneous()
        if self.graph.config is not None:
            log_odds += np.float32(LATE) * self.graph.late_pairs(paired)
            forbidden |= self.graph.impossible_pairs(paired)
        found = PairGraph(self.keys, self.past, self.before, self.seen.size, code, terms, log_odds, weight, forbidden)
        self._believe(found)
        return found

    def _likeness(self, code: Codes, one: Codes, two: Codes) -> tuple[FloatArray, FloatArray]:
        """``[P]`` similarity and common share."""
        similarity, common = np.zeros(len(code), np.float32), np.zeros(len(code), np.float32)
        tracks = two < len(self.keys)
        similarity[tracks], common[tracks] = self.pairs.of_pairs(self.keys, one[tracks], two[tracks])
        near, values = self._by_looks()
        if len(near):
            at = np.minimum(np.searchsorted(near, code), len(near) - 1)
            there = near[at] == code
            similarity[there], common[there] = values[at[there]].T
        return similarity, common

    @cached_property
    def _slope(self) -> float:
        """Log-odds by looks of one unit of similarity."""
        at_zero, at_one = self.calibration.log_odds(np.array([0.0, 1.0], np.float32)).tolist()
        return float(at_one - at_zero)

    def _by_strangers(self, one: Codes, two: Codes, other: BoolArray) -> FloatArray:
        """``[P]`` log-odds by how much less both look like strangers than most do; of older identities that is not
        known."""
        level = np.zeros((len(self), 2), np.float32)
        level[: len(self.keys)] = self.levels
        column = other.astype(np.intp)
        return np.asarray(-self._slope / 2 * (level[one, column] + level[two, column]), np.float32)

    def _by_times(self, one: Codes, two: Codes) -> FloatArray:
        """``[P]`` log-odds by how the times of both relate; with older identities as far as it is known."""
        said = np.zeros(len(one), np.float32)
        tracks = two < len(self.keys)
        if self.link.times and self.times.most > 0:
            said[tracks] = self.times.log_odds(self.keys, *self.spans, one[tracks], two[tracks])
            _put(said, one * len(self) + two, *self._older_times)
        return said

    @property
    def spans(self) -> tuple[Float64Array, Float64Array]:
        """``[T]`` first and last second of each track."""
        rows = slice(0, self.seen.rows)
        return self.seen.start[rows], self.seen.end[rows]

    def _by_place(self, one: Codes, two: Codes) -> FloatArray:
        """``[P]`` log-odds by place."""
        assert self.place is not None
        place = np.zeros(len(one), np.float32)
        tracks = two < len(self.keys)
        place[tracks] = self.place[one[tracks], two[tracks]]
        _put(place, one * len(self) + two, *self._older_places)
        return place

    @cached_property
    def _older_places(self) -> tuple[Codes, FloatArray]:
        return self._of_older(self.held.places)

    @cached_property
    def _older_times(self) -> tuple[Codes, FloatArray]:
        return self._of_older(self.held.times)

    def _of_older(self, held: Held) -> tuple[Codes, FloatArray]:
        """Pairs of tracks with older identities of which something is known, rising, and ``[P]`` the log-odds."""
        row = {key: number for number, key in enumerate(self.keys)}
        column = {gid: len(self.keys) + number for number, gid in enumerate(self.past)}
        code: list[int] = []
        values: list[float] = []
        for key, known in held.items():
            if (number := row.get(key)) is not None:
                for gid, said in known.items():
                    if (other := column.get(gid)) is not None:
                        code.append(number * len(self) + other)
                        values.append(said)
        order = np.argsort(np.array(code, np.int64))
        return np.array(code, np.int64)[order], np.array(values, np.float32)[order]

    def _believe(self, graph: PairGraph) -> None:
        """Put what was believed before, and what a person has said, into the graph."""
        one, two = graph.ends
        before = self.before
        graph.log_odds += np.float32(STICKY) * ((before[one] == before[two]) & (before[one] > 0))
        anchors, said = self._said
        if said.any():
            certain = (anchors[one] == anchors[two]) & (anchors[one] > 0) & (said[one] | said[two])
            graph.log_odds[certain], graph.weight[certain], graph.forbidden[certain] = CERTAIN, 1e3, False
        different = self.book.different
        if different:
            owner = np.where(anchors > 0, anchors, before)
            pair = zip(owner[one].tolist(), owner[two].tolist(), strict=True)
            graph.forbidden |= np.array([(min(p), max(p)) in different for p in pair], bool)
        must, cannot = self._of_tracks
        if len(must):
            certain = np.isin(graph.code, must)
            graph.log_odds[certain], graph.weight[certain], graph.forbidden[certain] = CERTAIN, 1e3, False
        if len(cannot):
            graph.forbidden |= np.isin(graph.code, cannot)


def _put(values: FloatArray, code: Codes, at: Codes, said: FloatArray) -> None:
    """Write what is said of some pairs, ``at`` rising, to the values of pairs ``code``."""
    if len(at):
        where = np.minimum(np.searchsorted(at, code), len(at) - 1)
        there = at[where] == code
        values[there] = said[where[there]]
