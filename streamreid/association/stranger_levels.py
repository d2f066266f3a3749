"""How alike each track is to people whom it does not show.

Some people look somewhat like everybody, and so does whatever is half hidden or dark: two of them are alike without
being one person. What a track has in common with strangers is therefore taken away, as speaker verification does with
scores (adaptive symmetric normalisation, Matejka et al., "Analysis of score normalization in multilingual speaker
recognition", Interspeech 2017):

    similarity(a, b)  <-  similarity(a, b) - weight (l_a + l_b) / 2

where the level l of a track is the mean similarity to the tenth of all strangers that it is most like, less the mean of
the levels of all tracks. Tracks of the same camera are more alike than those of two, so each track has a level among
either. Strangers are all tracks of other identities in the window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray, IntArray

__all__ = ["StrangerLevels", "levels"]

Rows = NDArray[np.intp]

SHARE = 0.1
"""Share of the strangers that decide: those who might be taken for the person."""

SHRINK = 5.0
"""Strangers at which half of a level is believed."""

_COMMON = 0.1
"""Least share of parts that both must have shown."""

_MORE = 4
"""Tracks that are looked at again at each step though nothing is new of them, those first that waited longest."""


def levels(similarity: FloatArray, stranger: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean similarity to the tenth of the strangers that each track is most like.

    Args:
        similarity: ``[R, T]``.
        stranger: ``[R, T]`` who is a stranger to whom.

    Returns:
        ``[R]`` level, 0 where there are none, and ``[R]`` number of strangers.
    """
    count = stranger.sum(1)
    if not similarity.size:
        return np.zeros(len(count), np.float32), count.astype(np.float32)
    best = np.maximum(np.ceil(SHARE * count), 1).astype(np.intp)
    most = best.max(initial=1)
    ranked = -np.sort(np.where(stranger, -similarity, np.float32(2.0)), 1)[:, :most]
    total = (ranked * (np.arange(most) < best[:, None])).sum(1)
    level = np.where(count > 0, total / best, 0.0)
    return level.astype(np.float32), count.astype(np.float32)


class StrangerLevels:
    """The levels of the tracks in the window, kept from step to step: only what changed is worked out anew."""

    def __init__(self) -> None:
        self._level: FloatArray = np.zeros((0, 2), np.float32)  # by slot: among its own camera's tracks, among others'
        self._count: FloatArray = np.zeros((0, 2), np.float32)
        self._turn: IntArray = np.zeros(0, np.int64)
        self._step = 0

    def refresh(
        self,
        similarity: FloatArray,
        common: FloatArray,
        slot: Rows,
        *,
        changed: Rows,
        identity: IntArray,
        camera: IntArray,
    ) -> FloatArray:
        """Bring the levels up to date.

        Args:
            similarity: ``[S, S]`` of all slots.
            common: ``[S, S]`` share of parts that both showed.
            slot: ``[T]`` slot of each track.
            changed: Numbers of the tracks of which more is known than before.
            identity: ``[T]`` global id of each track so far; 0 if none.
            camera: ``[T]`` number of its camera.

        Returns:
            ``[T, 2]`` how much each track is above the mean level of all, among tracks of its own camera and of others.
        """
        self._grow(len(similarity))
        self._step += 1
        self._turn[slot[changed]] = -1
        waited = self._turn[slot]
        rows = np.argsort(waited, kind="stable")[: np.count_nonzero(waited < 0) + _MORE]
        block = np.ix_(slot[rows], slot)
        own = camera[rows, None] == camera[None]
        level, count = _both_levels(similarity[block], common[block], identity, rows, own)
        self._level[slot[rows]], self._count[slot[rows]] = level, count
        self._turn[slot[rows]] = self._step
        return _above_mean(self._level[slot], self._count[slot])

    def _grow(self, size: int) -> None:
        more = size - len(self._turn)
        if more > 0:
            self._level = np.concatenate([self._level, np.zeros((more, 2), np.float32)])
            self._count = np.concatenate([self._count, np.zeros((more, 2), np.float32)])
            self._turn = np.concatenate([self._turn, np.full(more, -1, np.int64)])


def all_levels(similarity: FloatArray, common: FloatArray, identity: IntArray, own: BoolArray) -> FloatArray:
    """The same for T tracks at once, as ``StrangerLevels.refresh`` gives it when all have changed.

    Args:
        similarity: ``[T, T]``.
        common: ``[T, T]`` share of parts that both showed.
        identity: ``[T]`` global ids so far; 0 if none.
        own: ``[T, T]`` who is of the same camera.
    """
    return _above_mean(*_both_levels(similarity, common, identity, np.arange(len(identity)), own))


def _both_levels(
    similarity: FloatArray, common: FloatArray, identity: IntArray, rows: Rows, own: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """``[R, 2]`` levels of some tracks among all ``[T]``, and numbers of strangers."""
    stranger = (common >= _COMMON) & ((identity[rows, None] != identity[None]) | (identity[rows, None] == 0))
    stranger[np.arange(len(rows)), rows] = False
    found = [levels(similarity, stranger & among) for among in (own, ~own)]
    return np.stack([level for level, _ in found], 1), np.stack([count for _, count in found], 1)


def _above_mean(level: FloatArray, count: FloatArray) -> FloatArray:
    """``[T, 2]`` levels less their mean over all tracks that have one, believed as far as there were strangers."""
    known = count > 0
    mean = (level * known).sum(0) / np.maximum(known.sum(0), 1)
    return np.asarray(np.where(known, level - mean, 0.0) * count / (count + SHRINK), np.float32)
