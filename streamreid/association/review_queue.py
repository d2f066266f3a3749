"""Which questions about who is who are worth asking: the most doubtful links, by how much an answer is likely to
change.

Two kinds of question are weighed: whether two identities are one, and whether one identity is two. For both, two groups
of tracks A and B are compared,

    s(A, B) = log mean_{a, b} exp(e_ab) + CONFLICT * mean_{a, b} min(e_ab + 2, 0)

with the evidence e_ab of pairs of tracks (as in :mod:`streamreid.places.partition_sampling`), and s becomes a
probability that both are one person by a logistic model. An answer that contradicts what is believed moves the smaller
group, so a question is worth the probability of that times the observations of the smaller group. This is the expected
model change of active learning (Settles, "Active learning literature survey", 2009, section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.association.track_constraints import TrackConstraints
from streamreid.places.partition_chains import ABSENT, CONFLICT
from streamreid.places.partition_sampling import LinkGraph
from streamreid.types import BoolArray, Float64Array, IntArray, TrackKey

__all__ = ["WORTH_ASKING", "Question", "ReviewQueue"]

WORTH_ASKING = 0.002
"""Share of all observations that an answer is expected to move, from which a question is worth asking: two in a
thousand, so that a hundred answers still move a fifth."""

JOIN_MODEL = (0.77, -4.0)
"""Factor and offset of s for two identities; fitted to generated scenes of people who are in no test
(``benchmarks/review.py fit``)."""

SPLIT_MODEL = (0.5, -1.84)
"""The same for the two halves of one identity, which the association has put together."""

MOST_TRACKS = 1500
"""Newest tracks that are weighed: arrays of their pairs take 20 MB each."""

_CONFLICT_FROM = -2.0
"""Evidence below which a pair speaks against its group; see ``partition_sampling``."""

_MOST_EVIDENCE = 20.0
"""Evidence beyond which a pair is as sure as can be."""


@dataclass(frozen=True, slots=True)
class Question:
    """Are these two tracks one person?

    Args:
        one: A track.
        other: A track, of another identity or of the same.
        believed: Whether they are believed to be one person now.
        probability: That they are, in [0, 1].
        worth: Observations that an answer is expected to move.
        tracks: Tracks that would move if the answer contradicts what is believed.
    """

    one: TrackKey
    other: TrackKey
    believed: bool
    probability: float
    worth: float
    tracks: tuple[TrackKey, ...]


class ReviewQueue:
    """Questions about who is who, the most worth first.

    Args:
        graph: What is known of pairs of tracks.
        owner: Who each track is now.
        observations: How often each track was seen.
        said: What was answered so far; nothing that follows from it is asked.
        unsure: Pairs about which nobody can tell.
    """

    def __init__(
        self,
        graph: LinkGraph,
        owner: Mapping[TrackKey, int],
        observations: Mapping[TrackKey, int],
        said: TrackConstraints | None = None,
        unsure: Sequence[tuple[TrackKey, TrackKey]] = (),
    ) -> None:
        first = max(0, len(graph.keys) - MOST_TRACKS)
        self.keys = graph.keys[first:]
        self._said = said or TrackConstraints()
        self._unsure = {frozenset(pair) for pair in unsure}
        self._weight = np.array([observations.get(key, 1) for key in self.keys], np.float64)
        self._label = np.unique([owner.get(key, 0) for key in self.keys], return_inverse=True)[1].astype(np.int64)
        self._evidence, self._apart = _dense(graph, first)

    @property
    def observations(self) -> float:
        """Of all tracks that are weighed."""
        return float(self._weight.sum())

    def questions(self, most: int = 10, *, worth: float = 0.0) -> list[Question]:
        """The questions that are worth most; of each identity one at most, as an answer changes what else to ask.

        Args:
            most: How many.
            worth: Least share of all observations that an answer is expected to move.
        """
        if not len(self.keys):
            return []
        asked = sorted([*self._joins(), *self._splits()], key=lambda q: (-q.worth, q.one, q.other))
        row = {key: i for i, key in enumerate(self.keys)}
        chosen: list[Question] = []
        touched: set[int] = set()
        for question in asked:
            concerned = {int(self._label[row[key]]) for key in (question.one, question.other)}
            if len(chosen) >= most or question.worth < worth * self.observations:
                break
            if not concerned & touched:
                chosen.append(question)
                touched |= concerned
        return chosen

    def remaining(self) -> int:
        """How many answers are still worth giving, as far as can be said now."""
        least = WORTH_ASKING * self.observations
        return sum(q.worth >= least for q in [*self._joins(), *self._splits()]) if len(self.keys) else 0

    def joins_of(self, tracks: set[TrackKey]) -> list[Question]:
        """Which other identities may be one with the identity of some tracks, whatever an answer is worth."""
        rows = [row for row, key in enumerate(self.keys) if key in tracks]
        if not rows:
            return []
        member = np.eye(int(self._label.max()) + 1)[self._label]
        own = int(self._label[rows[0]])
        strength, forbidden = self._strength(member[:, own : own + 1], member)
        probability = _sigmoid(JOIN_MODEL[0] * strength[0] + JOIN_MODEL[1])
        found = []
        for group in np.flatnonzero(~forbidden[0]).tolist():
            if group == own:
                continue
            others = np.flatnonzero(self._label == group)
            pair = int(np.flatnonzero(self._label == own)[0]), int(others[0])
            found.append(self._question(pair, False, float(probability[group]), others))
        return sorted(found, key=lambda q: -q.probability)

    # ---------------------------------------------------------------- two identities may be one

    def _joins(self) -> list[Question]:
        groups = int(self._label.max()) + 1
        member = np.eye(groups)[self._label]
        strength, forbidden = self._strength(member, member)
        weight = member.T @ self._weight
        probability = _sigmoid(JOIN_MODEL[0] * strength + JOIN_MODEL[1])
        value = probability * np.minimum(weight[:, None], weight[None])
        value[forbidden | np.tri(groups, dtype=bool)] = 0.0
        found = []
        best = np.argsort(-value, axis=None, kind="stable")[: 4 * groups]
        for one, two in zip(*np.unravel_index(best[value.ravel()[best] > 0], value.shape), strict=True):
            a, b = np.flatnonzero(self._label == one), np.flatnonzero(self._label == two)
            pair = self._pair(a, b)
            if pair is None:
                continue
            less = a if weight[one] < weight[two] else b
            found.append(self._question(pair, False, float(probability[one, two]), less))
        return found

    # ---------------------------------------------------------------- one identity may be two

    def _splits(self) -> list[Question]:
        found = []
        for label in np.flatnonzero(np.bincount(self._label) > 1).tolist():
            rows = np.flatnonzero(self._label == label)
            a, b = self._halves(rows)
            pair = self._pair(a, b)
            if pair is None:
                continue
            strength = float(self._strength(_column(len(self.keys), a), _column(len(self.keys), b))[0][0, 0])
            probability = float(_sigmoid(np.array(SPLIT_MODEL[0] * strength + SPLIT_MODEL[1])))
            less = a if self._weight[a].sum() < self._weight[b].sum() else b
            found.append(self._question(pair, True, probability, less))
        return found

    def _halves(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The two groups of an identity that are least alike: average-linkage agglomeration up to two."""
        part = np.clip(self._evidence[np.ix_(rows, rows)], ABSENT, _MOST_EVIDENCE)
        groups = [[i] for i in range(len(rows))]
        total = part.copy()
        size = np.ones(len(rows))
        np.fill_diagonal(total, -np.inf)
        same = [(i, j) for i in range(len(rows)) for j in range(i) if self._answered(rows[i], rows[j]) is True]
        for i, j in same:
            total[i, j] = total[j, i] = 1e6
        alive = np.ones(len(rows), bool)
        while alive.sum() > 2:
            mean = total / (size[:, None] * size[None])
            mean[~alive] = mean[:, ~alive] = -np.inf
            i, j = divmod(int(mean.argmax()), len(rows))
            groups[i] += groups[j]
            total[i] += total[j]
            total[:, i] = total[i]
            total[i, i] = -np.inf
            size[i] += size[j]
            alive[j] = False
        first, second = (rows[groups[i]] for i in np.flatnonzero(alive))
        return first, second

    # ---------------------------------------------------------------- what both need

    def _strength(self, one: Float64Array, two: Float64Array) -> tuple[Float64Array, BoolArray]:
        """``[A, B]`` s of groups ``[N, A]`` and ``[N, B]``, and whether they cannot be one person."""
        pairs = np.maximum(one.sum(0)[:, None] * two.sum(0)[None], 1.0)
        bounded = np.clip(self._evidence, ABSENT, _MOST_EVIDENCE)
        likely = np.log(np.maximum(one.T @ np.exp(bounded) @ two / pairs, 1e-12))
        against = one.T @ np.minimum(bounded - _CONFLICT_FROM, 0.0) @ two / pairs
        return likely + CONFLICT * against, np.asarray(one.T @ self._apart @ two > 0)

    def _pair(self, a: NDArray[np.intp], b: NDArray[np.intp]) -> tuple[int, int] | None:
        """The two tracks that show both groups best and of which nothing was said; None if an answer is known."""
        seen = np.log(self._weight[a])[:, None] + np.log(self._weight[b])[None]
        order = np.argsort(-(seen + 0.3 * np.clip(self._evidence[np.ix_(a, b)], ABSENT, None)), axis=None)
        for at in order[:20].tolist():
            i, j = int(a[at // len(b)]), int(b[at % len(b)])
            if self._answered(i, j) is not None:
                return None
            if frozenset((self.keys[i], self.keys[j])) not in self._unsure:
                return i, j
        return None

    def _answered(self, i: int, j: int) -> bool | None:
        return self._said.answer(self.keys[i], self.keys[j])

    def _question(self, pair: tuple[int, int], believed: bool, probability: float, moved: NDArray[np.intp]) -> Question:
        one, other = sorted(self.keys[i] for i in pair)
        wrong = 1.0 - probability if believed else probability
        worth = wrong * float(self._weight[moved].sum())
        return Question(one, other, believed, probability, worth, tuple(sorted(self.keys[i] for i in moved)))


def _dense(graph: LinkGraph, first: int) -> tuple[Float64Array, Float64Array]:
    """``[N, N]`` evidence of the tracks from ``first`` on, and 1 where two cannot be one person."""
    count = len(graph.keys) - first
    evidence, apart = np.full((count, count), ABSENT), np.zeros((count, count))
    for pairs, values, target in ((graph.pairs, graph.mean_evidence, evidence), (graph.apart, None, apart)):
        rows: IntArray = np.asarray(pairs, np.int64).reshape(-1, 2) - first
        kept = (rows >= 0).all(1)
        i, j = rows[kept].T
        target[i, j] = target[j, i] = 1.0 if values is None else values[kept]
    return evidence, apart


def _column(count: int, rows: NDArray[np.intp]) -> Float64Array:
    column = np.zeros((count, 1))
    column[rows] = 1.0
    return column


def _sigmoid(x: Float64Array) -> Float64Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -50, 50))), np.float64)
