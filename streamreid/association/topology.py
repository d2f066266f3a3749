"""The camera graph: who sees the same floor, and how long the ways between the others take."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.association.track_evidence import Presence
from streamreid.config.association import TopologyConfig, check_cameras
from streamreid.types import BoolArray, Float64Array, FloatArray

__all__ = ["CameraGraph", "PairedPresences", "Presences"]

_SLACK = 0.05  # seconds; capture times of two cameras are never quite the same


@dataclass(frozen=True, eq=False)
class Presences:
    """When and where N nodes were seen, flattened.

    Args:
        node: ``[P]`` int, which node.
        camera: ``[P]`` int, number of the camera.
        start: ``[P]`` seconds.
        end: ``[P]`` seconds.
        count: N.
        names: Names of the cameras by number.
        first: T: pairs are those of the first T nodes with all N; by default of all with all.
        rows: Presences of the first T nodes.
    """

    node: NDArray[np.int64]
    camera: NDArray[np.int64]
    start: Float64Array
    end: Float64Array
    count: int
    names: tuple[str, ...]
    first: int
    rows: int

    @classmethod
    def of(cls, nodes: Sequence[Iterable[Presence]], first: int | None = None) -> Presences:
        """One row per presence, with the number of the node that it belongs to.

        Args:
            nodes: What is known of each.
            first: Of how many nodes pairs are wanted, from the first on; default all.
        """
        flat = [(row, p) for row, presences in enumerate(nodes) for p in presences]
        names = tuple(sorted({p.camera for _, p in flat}))
        number = {name: i for i, name in enumerate(names)}
        return cls(
            np.array([row for row, _ in flat], np.int64),
            np.array([number[p.camera] for _, p in flat], np.int64),
            np.array([p.start for _, p in flat], np.float64),
            np.array([p.end for _, p in flat], np.float64),
            len(nodes),
            names,
            len(nodes) if first is None else first,
            len(flat) if first is None else sum(row < first for row, _ in flat),
        )

    @cached_property
    def size(self) -> NDArray[np.int64]:
        """``[N]`` number of presences of each node."""
        return np.bincount(self.node, minlength=self.count).astype(np.int64)

    @cached_property
    def _single(self) -> bool:
        """Whether every node has one presence, as tracks have."""
        return len(self.node) == self.count and bool((self.node == np.arange(self.count)).all())

    @cached_property
    def apart(self) -> Float64Array:
        """``[R, P]`` seconds from the end of the earlier presence to the start of the later one; negative where they
        overlap. R are the presences of the first T nodes."""
        start, end, r = self.start, self.end, self.rows
        return np.asarray(np.maximum(start[:r, None] - end[None], start[None] - end[:r, None]), np.float64)

    @cached_property
    def _same_camera(self) -> BoolArray:
        return np.asarray(self.camera[: self.rows, None] == self.camera[None], bool)

    def nodes(self, pairs: BoolArray) -> BoolArray:
        """``[T, N]``: whether ``pairs`` ``[R, P]`` holds for any presences of two nodes."""
        if self._single:
            result = pairs.copy()
        else:
            result = np.zeros((self.first, self.count), bool)
            i, j = np.nonzero(pairs)
            result[self.node[i], self.node[j]] = True
        result[:, : self.first] |= result[:, : self.first].T.copy()
        np.fill_diagonal(result, False)
        return result

    def gaps(self) -> tuple[FloatArray, FloatArray]:
        """``[T, N]`` seconds between two nodes (0 where they overlap), and 1 where they share no camera."""
        gap = np.maximum(self.apart, 0.0)
        if not self._single:
            # The presences of a node stand side by side.
            present, begin = np.unique(self.node, return_index=True)
            rows, row_begin = present[present < self.first], begin[present < self.first]
            least = np.full((self.first, self.count), np.inf)
            if len(rows):
                least[np.ix_(rows, present)] = np.minimum.reduceat(np.minimum.reduceat(gap, row_begin, 0), begin, 1)
            gap = least
        one = self.nodes(self._same_camera)
        return np.where(np.isfinite(gap), gap, 0.0).astype(np.float32), (~one).astype(np.float32)

    def simultaneous(self) -> BoolArray:
        """``[T, N]``: seen by one camera at one time, so two people."""
        return self.nodes(self._same_camera & (self.apart <= 0))


class PairedPresences:
    """When and where both nodes of some pairs were seen: a row per presence of the one and presence of the other.

    Args:
        seen: Presences of all nodes.
        one: ``[P]`` first node of each pair.
        two: ``[P]`` second node.
    """

    def __init__(self, seen: Presences, one: NDArray[Any], two: NDArray[Any]) -> None:
        node = np.arange(seen.count)
        begin = np.searchsorted(seen.node, node)  # the presences of a node stand side by side
        count = np.searchsorted(seen.node, node, side="right") - begin
        rows = count[one] * count[two]
        self._known = rows > 0
        self._begin = (np.cumsum(rows) - rows)[self._known]
        pair = np.repeat(np.arange(len(rows)), rows)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(rows) - rows, rows)
        other = count[two][pair]
        self.names = seen.names
        self.a, self.b = (
            _Spans(seen.camera[at], seen.start[at], seen.end[at])
            for at in (
                begin[one][pair] + within // np.maximum(other, 1),
                begin[two][pair] + within % np.maximum(other, 1),
            )
        )

    def any(self, rows: BoolArray) -> BoolArray:
        """``[P]``: whether something holds for any presences of both nodes."""
        result = np.zeros(len(self._known), bool)
        if len(self._begin):
            result[self._known] = np.logical_or.reduceat(rows, self._begin)
        return result

    def gaps(self) -> tuple[FloatArray, FloatArray]:
        """``[P]`` each: see ``Presences.gaps``."""
        gap = np.zeros(len(self._known))
        if len(self._begin):
            gap[self._known] = np.minimum.reduceat(np.maximum(_apart(self.a, self.b), 0.0), self._begin)
        one = self.any(self.a.camera == self.b.camera)
        return gap.astype(np.float32), (~one).astype(np.float32)

    def simultaneous(self) -> BoolArray:
        """``[P]``: see ``Presences.simultaneous``."""
        return self.any((self.a.camera == self.b.camera) & (_apart(self.a, self.b) <= 0))


@dataclass(frozen=True, eq=False)
class _Spans:
    """Presences: number of the camera, start and end, in any shape."""

    camera: NDArray[np.int64]
    start: Float64Array
    end: Float64Array


def _apart(a: _Spans, b: _Spans) -> Float64Array:
    """Seconds from the end of the earlier presence to the start of the later one; negative where they overlap."""
    return np.asarray(np.maximum(a.start - b.end, b.start - a.end), np.float64)


class CameraGraph:
    """What the camera graph forbids. Without one, nothing.

    A person needs at least the shortest chain of ways from one camera to another; ways through cameras that overlap
    take no time. With ``closed``, there are no ways but those listed. More than the greatest time of the direct way is
    not impossible (the person may have stood in a third picture), but late.

    Args:
        config: Overlaps and ways; None knows nothing.
        cameras: Names of all cameras, to check those of ``config`` against; None checks nothing.

    Raises:
        ConfigError: A camera is named that there is not.
    """

    def __init__(self, config: TopologyConfig | None, cameras: Collection[str] | None = None) -> None:
        self.config = config
        if config is None:
            return
        if cameras is not None:
            check_cameras(config, cameras)
        self._names = sorted(config.cameras)
        self._number = {name: i for i, name in enumerate(self._names)}
        n = len(self._names)
        self._overlap = np.eye(n, dtype=bool)
        self._least = np.full((n, n), np.inf)
        self._most = np.full((n, n), np.inf)
        np.fill_diagonal(self._least, 0.0)
        for a, b in config.overlap:
            i, j = self._number[a], self._number[b]
            self._overlap[i, j] = self._overlap[j, i] = True
            self._least[i, j] = self._least[j, i] = 0.0
        for way in config.transits:
            i, j = self._number[way.from_], self._number[way.to]
            for one, two in ((i, j), (j, i)) if way.both_ways else ((i, j),):
                self._least[one, two] = min(self._least[one, two], way.min)
                self._most[one, two] = np.inf if way.max is None else way.max
        for middle in range(n):  # Floyd and Warshall
            np.minimum(self._least, self._least[:, middle, None] + self._least[None, middle], out=self._least)

    def impossible(self, seen: Presences) -> BoolArray:
        """``[N, N]``: pairs of nodes that cannot be one person."""
        if self.config is None or not len(seen.node):
            return np.zeros((seen.count, seen.count), bool)
        return seen.nodes(self._wrong(seen.names, *_square_of(seen)))

    def impossible_pairs(self, pairs: PairedPresences) -> BoolArray:
        """``[P]``: pairs of nodes that cannot be one person."""
        a, b = pairs.a, pairs.b
        return pairs.any(self._wrong(pairs.names, a, b) | self._wrong(pairs.names, b, a))

    def _wrong(self, names: Sequence[str], a: _Spans, b: _Spans) -> BoolArray:
        """Whether two presences cannot be those of one person, elementwise."""
        assert self.config is not None
        rows = np.array([self._number.get(name, -1) for name in names])
        one, two = rows[a.camera], rows[b.camera]
        known = (one >= 0) & (two >= 0)
        later = a.start - b.end > 0
        first, then = np.where(later, two, one), np.where(later, one, two)  # camera that was left, and the other
        apart = _apart(a, b)
        least = self._least[first, then]
        if not self.config.closed:
            unseen = ~np.isfinite(least)
            least = np.where(unseen, 0.0, least)
        else:
            unseen = np.zeros_like(known)
        wrong = np.where(apart <= 0, ~self._overlap[first, then] & ~unseen & (apart < -_SLACK), apart + _SLACK < least)
        # Cameras that a closed graph does not name have no way to the others.
        strangers = (a.camera != b.camera) & ~known & self.config.closed
        return np.asarray((wrong & known) | strangers, bool)

    def late(self, seen: Presences) -> BoolArray:
        """``[N, N]``: pairs of nodes with more time between them, whichever of their presences one takes, than the
        direct way takes at most."""
        if self.config is None or not len(seen.node) or not np.isfinite(self._most).any():
            return np.zeros((seen.count, seen.count), bool)
        result = ~seen.nodes(self._in_time(seen.names, *_square_of(seen)))
        np.fill_diagonal(result, False)
        return result

    def late_pairs(self, pairs: PairedPresences) -> BoolArray:
        """``[P]``: the same for pairs of nodes."""
        a, b = pairs.a, pairs.b
        if not np.isfinite(self._most).any():
            return np.zeros_like(pairs.any(a.camera == b.camera))
        return ~pairs.any(self._in_time(pairs.names, a, b) | self._in_time(pairs.names, b, a))

    def _in_time(self, names: Sequence[str], a: _Spans, b: _Spans) -> BoolArray:
        """Whether there is no more time between two presences than the direct way takes at most, elementwise."""
        rows = np.array([self._number.get(name, -1) for name in names])
        one, two = rows[a.camera], rows[b.camera]
        later = a.start - b.end > 0
        first, then = np.where(later, two, one), np.where(later, one, two)
        most = np.where((first >= 0) & (then >= 0), self._most[first, then], np.inf)
        return np.asarray(_apart(a, b) <= most + _SLACK, bool)


def _square_of(seen: Presences) -> tuple[_Spans, _Spans]:
    """Every presence with every other, ``[P, 1]`` and ``[1, P]``."""
    camera, start, end = seen.camera, seen.start, seen.end
    return _Spans(camera[:, None], start[:, None], end[:, None]), _Spans(camera[None], start[None], end[None])
