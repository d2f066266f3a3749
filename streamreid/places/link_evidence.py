"""What the log-odds of two tracks are worth as evidence of one person, where people look more or less alike.

The evidence of a pair is the logarithm of how many times more often pairs of one person have such log-odds than pairs
of two, as counted over generated scenes. Where people are more alike than there (uniforms, people of one family), that
is too sure. How alike they are shows in pairs of tracks of one camera: those of one person are nearly all beyond
log-odds of 10, those of two different people below 3, and those of look-alikes anywhere between. With the share ``a``
of look-alikes among the pairs of two people

    evidence = log(same / ((1 - A) * different + A * alike)),    A = _WEIGHT * max(a - _USUAL, 0)

where ``alike`` is even over the log-odds from 0 to 10, as nothing is known of how alike look-alikes are. A is greater
than a, because a pair is weighed that already was taken for one person by another pair. It is known roughly only, so
partitions are sampled under three values of it: intervals are wide where it decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array, IntArray

__all__ = ["compared_pairs", "evidence_of", "hard_negative_share"]

_LOG_ODDS = {
    False: (
        (-2.0, 0.5, 2.5, 3.5, 5.0, 6.5, 8.0, 10.0, 11.7, 12.3),
        (-5.0, -4.5, -3.5, -2.0, 0.8, 2.4, 3.9, 5.5, 8.7, 9.5),
    ),
    True: (
        (-1.0, 0.5, 1.4, 2.4, 3.4, 4.4, 5.5, 6.5, 7.5, 9.0, 11.0, 14.0),
        (-5.3, -4.5, -1.8, -0.4, 1.6, 2.8, 3.7, 4.7, 5.4, 5.6, 6.2, 8.4),
    ),
}
"""Log-odds of the association, without the prior of one in so many people, and what they turned out to be worth as
evidence: the logarithm of how many times more often pairs of one person have them than pairs of two, for tracks of one
camera and of two. Counted over six generated scenes of people who are in no test (``benchmarks/unique_people.py``)."""

_KNOWN_LOG_ODDS = {
    False: (
        (-0.5, 0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 9.0, 11.0, 13.0),
        (-3.5, -2.8, -1.5, 0.4, 2.2, 3.2, 4.2, 4.8, 5.5, 6.5),
    ),
    True: (
        (-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 7.0, 10.0),
        (-4.1, -3.0, -0.4, 1.3, 2.1, 2.9, 4.8, 5.2, 6.0),
    ),
}
"""The same of a track with somebody who was known before its run, whom the camera of the track had seen, and whom only
others had: of a person a few views are remembered, and all were compared at once. Counted over scenes of these people
that were cut into several runs; low ones are lower than counted, so that several of them together speak against one
person as much as they do (counts of these scenes are nearly unbiased then)."""

_DIFFERENT = {
    False: (
        (-1.0, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 11.0, 13.0),
        (-4.1, -4.2, -4.8, -5.7, -6.7, -7.5, -8.0, -8.6, -8.8, -9.0, -9.8, -11.5),
    ),
    True: (
        (-1.0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 11.0, 14.0),
        (-2.9, -2.5, -2.6, -3.4, -4.1, -5.0, -5.8, -6.8, -7.9, -8.2, -9.4, -9.9, -11.0),
    ),
}
"""Log-odds, and the logarithm of the share of pairs of two people per unit of log-odds, in the same scenes."""

_ALIKE = {False: 10.0, True: 14.0}
"""Log-odds up to which pairs of look-alikes are spread evenly, for tracks of one camera and of two; some of two
cameras are as alike as pictures of one person."""

_OTHER_CAMERA = 3.0
"""Added for tracks of two cameras, so that the counts of the same six scenes are nearly unbiased: the tracks of one
person in two cameras are alike or not all together, and who is left when others have been told apart is likelier."""

_WEIGHT = 40.0
"""By how much look-alikes weigh more among pairs that some other pair speaks for than among all pairs."""

_SPREAD = (0.0, 1.0, 3.0)
"""Factors of that share under which partitions are sampled: there may be none at all."""

_MOST = 0.5
"""Greatest share of look-alikes: with more, nothing would tell people of two looks from one."""

_USUAL = 1e-3
"""Share up to which scenes of different people come by tracks that change over from one person to another."""

_PAIRS = 3000.0
"""Independent pairs that have to be seen before half of what shows is believed."""

_TOGETHER = 10.0
"""Pairs of tracks of the same two people: so many say as much as one."""

_SHOWS = (5.0, 7.0)
"""Log-odds between which look-alikes show: pairs of different people are below, and in films worse than the generated
scenes pairs of one person begin above."""


def hard_negative_share(log_odds: Float64Array, compared: int) -> float:
    """The share of hard negatives (look-alikes) among pairs of two people, beyond those of the generated scenes.

    Args:
        log_odds: ``[E]`` of pairs of tracks of one camera; low ones may be left out.
        compared: How many pairs of tracks of one camera there are that can be one person.
    """
    found = int(((log_odds > _SHOWS[0]) & (log_odds < _SHOWS[1])).sum())
    middle = np.arange(_SHOWS[0] + 0.05, _SHOWS[1], 0.1)
    different = float(np.exp(np.interp(middle, *_DIFFERENT[False])).mean()) * (_SHOWS[1] - _SHOWS[0])
    shown = (_SHOWS[1] - _SHOWS[0]) / _ALIKE[False]
    number = max(found - different * compared, 0.0) / shown  # those that show stand for all
    return number / (compared + _TOGETHER * _PAIRS)


def evidence_of(
    log_odds: Float64Array, other_camera: NDArray[np.bool_], share: float, *, known: NDArray[np.bool_] | None = None
) -> Float64Array:
    """``[H, E]`` evidence of pairs, for each of the shares of look-alikes that may be.

    Args:
        log_odds: ``[E]`` that both tracks are one person, without the prior of one in so many people.
        other_camera: ``[E]`` whether the tracks are of two cameras.
        share: Of look-alikes, as ``hard_negative_share`` gives it.
        known: ``[E]`` whether a track was compared with somebody who was known before its run; default with tracks.
    """
    plain, ratio = np.zeros(len(log_odds)), np.zeros(len(log_odds))
    for other, shift in ((False, 0.0), (True, _OTHER_CAMERA)):
        of = other_camera == other
        plain[of] = np.interp(log_odds[of], *_LOG_ODDS[other]) + shift
        alike = ((log_odds[of] >= 0) & (log_odds[of] < _ALIKE[other])) / _ALIKE[other]
        ratio[of] = alike / np.exp(np.interp(log_odds[of], *_DIFFERENT[other]))
    for other in (False, True) if known is not None else ():
        of = known & (other_camera == other)
        plain[of] = np.interp(log_odds[of], *_KNOWN_LOG_ODDS[other])
    return np.stack([plain - np.log(1 - a + a * ratio) for a in _shares(share)])


def _shares(share: float) -> list[float]:
    more = max(share - _USUAL, 0.0)
    return [min(_WEIGHT * factor * more, _MOST) for factor in _SPREAD]


def compared_pairs(camera: IntArray, apart: IntArray) -> int:
    """How many pairs of tracks of one camera can be one person.

    Args:
        camera: ``[N]`` of each track.
        apart: ``[F, 2]`` pairs that cannot be.
    """
    count = np.bincount(camera) if len(camera) else np.zeros(0, np.int64)
    never = int((camera[apart[:, 0]] == camera[apart[:, 1]]).sum()) if len(apart) else 0
    return max(int((count * (count - 1) // 2).sum()) - never, 0)
