"""Explanations of who is there, followed side by side, and how one frame of one camera splits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.ground.k_best_assignment import Assignments, Offers, likeliest
from streamreid.ground.kalman_filter import GroundSettings, Nodes, Trail
from streamreid.ground.measurement_likelihood import Explained
from streamreid.types import Float64Array

__all__ = ["Gone", "Hypothesis", "Members", "split"]

_KINDS = 16
"""More than the kinds of one belief: three ways to match a box, or eleven chances of being found."""


@dataclass(slots=True, eq=False)
class Hypothesis:
    """One explanation: who is there (rows of the beliefs), how likely it is, and who was there."""

    people: NDArray[np.int64]
    odds: float
    gone: Gone | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Gone:
    """Somebody who ended, and who ended before."""

    before: Gone | None
    label: int
    trail: Trail | None
    hits: int


class Members:
    """Who is there in H hypotheses, T in all, one hypothesis behind the other.

    Args:
        hypotheses: At least one.
        count: N, how many beliefs there are.

    Attributes:
        people: ``[T]`` rows of the beliefs.
        size: ``[H]`` how many are in each.
        begin: ``[H]`` where each begins.
        number: ``[T]`` of which hypothesis.
        table: ``[H, N]`` 1 for who is there, else 0.
    """

    def __init__(self, hypotheses: Sequence[Hypothesis], count: int) -> None:
        self.people = np.concatenate([h.people for h in hypotheses])
        self.size = np.array([len(h.people) for h in hypotheses])
        self.begin = np.cumsum(self.size) - self.size
        self.number = np.repeat(np.arange(len(hypotheses)), self.size)
        self.table = np.zeros((len(hypotheses), count))
        self.table[self.number, self.people] = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Chances:
    """What hypotheses say of the people in them, T in all, and of the few boxes that each may own, C at most.

    Args:
        found: ``[T]`` chance to be found.
        pair: ``[T, C]`` pairs of person and box, as numbered in ``Explained``; any where there is none.
        odds: ``[T, C]`` log-odds of the box; minus infinity where there is none.
        way: ``[T, C]`` by which of the three ways.
    """

    found: Float64Array
    pair: NDArray[np.int64]
    odds: Float64Array
    way: NDArray[np.int64]


def split(
    nodes: Nodes, hypotheses: Sequence[Hypothesis], told: Explained, boxes: int, settings: GroundSettings
) -> tuple[Nodes, list[Hypothesis], NDArray[np.int64]]:
    """Every hypothesis splits into the likely ways to explain a frame; the likeliest of all are kept.

    Args:
        nodes: The beliefs.
        hypotheses: At least one, best first.
        told: The frame.
        boxes: M, how many boxes it shows.
        settings: How many are kept.

    Returns:
        The beliefs that the new hypotheses need, each once; the hypotheses; and which box each belief has now, -1 for
        none.
    """
    members = Members(hypotheses, len(nodes))
    _discount_second_boxes(told, members.table[0], boxes, settings)
    chances = _chances(told, members, settings)
    there = 1 / (1 + np.exp(-nodes.there[members.people]))
    missed = np.log(1 - there * chances.found)
    gain = (np.log(chances.found * there + 1e-9) - missed)[:, None] + chances.odds
    box = told.box[chances.pair] if len(told.box) else chances.pair
    base = np.array([h.odds for h in hypotheses], np.float64) + np.bincount(members.number, missed, len(hypotheses))
    offers = Offers(gain, box, boxes, members.number, members.begin)
    kept = likeliest(offers, base, settings.hypotheses, settings.odds_window)
    at, column = kept.owned(members.begin, members.size)
    # Which of the offers each took.
    slot = np.zeros((len(members.people), boxes + 1), np.int64)
    person, choice = np.nonzero(chances.odds > -np.inf)
    slot[person, box[person, choice]] = choice
    taken = at, column, slot[at, column]
    made, belief = _beliefs(nodes, told, members, chances, taken, settings)
    return made.nodes, _distinct(kept, belief, members, hypotheses), made.box


def _discount_second_boxes(told: Explained, best: Float64Array, boxes: int, settings: GroundSettings) -> None:
    """A box may also be the second one of somebody whom the best hypothesis knows."""
    twice = np.bincount(told.box, np.exp(np.minimum(told.odds[2], 30.0)) * best[told.person], boxes)
    told.odds[:] -= np.log1p(settings.duplicate_rate * twice)[told.box]


def _chances(told: Explained, members: Members, settings: GroundSettings) -> _Chances:
    number, people = members.number, members.people
    whole, feet = (np.minimum((members.table @ hidden.T)[number, people], 1.0) for hidden in told.hidden)
    seen = settings.hidden_detection_rate + (settings.detection_rate - settings.hidden_detection_rate) * (1 - whole)
    legless = np.minimum(np.maximum(feet, 0.02), 0.98)
    prior = np.empty((3, len(people)))
    prior[0], prior[1], prior[2] = 1 - legless, legless, settings.outlier_rate / (1 - settings.outlier_rate)
    prior = np.log((1 - settings.outlier_rate) * prior)
    column = np.arange(told.count.max(initial=0))
    pair = ((np.cumsum(told.count) - told.count)[:, None] + column) % max(len(told.box), 1)
    none = np.where(column < told.count[:, None], 0.0, -np.inf)
    ways = prior[..., None] + told.odds[:, pair][:, people]
    best = ways.max(0)
    odds = best + np.log(np.exp(ways - best).sum(0)) + none[people]
    found = np.minimum(np.maximum(told.inside[people] * seen, 0.01), 0.97)
    return _Chances(found, pair[people], odds, ways.argmax(0))


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """New beliefs, and ``[N]`` which box each has, -1 for none."""

    nodes: Nodes
    box: NDArray[np.int64]


def _beliefs(
    nodes: Nodes,
    told: Explained,
    members: Members,
    chances: _Chances,
    taken: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    settings: GroundSettings,
) -> tuple[_Made, NDArray[np.int64]]:
    """Make the beliefs that the kept assignments need, each once.

    Args:
        taken: Who of T, which box, -1 for none, and which of the offers that is: of all kept assignments, one behind
            the other.

    Returns:
        The beliefs, and which of them each of ``taken`` becomes.
    """
    at, column, choice = taken
    person, missed = members.people[at], column < 0
    # Who was missed with nearly the same chance of being found is the same belief.
    kind = np.where(missed, np.round(10 * chances.found[at]), chances.way[at, choice] if chances.way.size else 0)
    code = (person * (int(column.max(initial=0)) + 2) + column + 1) * _KINDS + kind.astype(np.int64)
    _, first, belief = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)  # in the order in which they are needed
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    first = first[order]
    of, box = at[first], column[first]
    says = np.log(1 - chances.found[of])
    hit = np.flatnonzero(box >= 0)
    made = nodes.take(person[first])
    if len(hit):
        who, what = of[hit], choice[first[hit]]
        says[hit] = np.minimum(chances.odds[who, what], settings.max_existence_gain)
        made.mean[hit], made.cov[hit] = told.corrected(
            made.mean[hit], made.cov[hit], chances.pair[who, what], chances.way[who, what], settings
        )
        made.hits[hit] += 1
    made.there = np.minimum(made.there + says, settings.max_existence)
    return _Made(made, box), rank[belief]


def _distinct(
    kept: Assignments, belief: NDArray[np.int64], members: Members, hypotheses: Sequence[Hypothesis]
) -> list[Hypothesis]:
    """The new hypotheses, each once."""
    result, seen = [], set()
    worth = (kept.worth - kept.worth[0]).tolist()
    ends = np.cumsum(members.size[kept.number])[:-1]
    for odds, number, people in zip(worth, kept.number.tolist(), np.split(belief, ends), strict=True):
        gone = hypotheses[number].gone
        if (same := (people.tobytes(), gone)) not in seen:
            seen.add(same)
            result.append(Hypothesis(people, odds, gone))
    return result
