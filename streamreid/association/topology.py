"""The camera graph: who sees the same floor, and how long the ways between the others take."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamreid.association.track_evidence import Presence
from streamreid.config.association import TopologyConfig, check_cameras
from streamreid.types import BoolArray, Float64Array, FloatArray

__all__ = ["CameraGraph", "Presences"]

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
        rows = np.array([self._number.get(name, -1) for name in seen.names])[seen.camera]
        known = (rows >= 0)[:, None] & (rows >= 0)[None]
        first = np.where(seen.start[:, None] - seen.end[None] > 0, rows[None], rows[:, None])  # camera that was left
        then = np.where(seen.start[:, None] - seen.end[None] > 0, rows[:, None], rows[None])
        apart = seen.apart
        together = apart <= 0
        least = self._least[first, then]
        if not self.config.closed:
            least = np.where(np.isfinite(least), least, 0.0)
            unseen = ~np.isfinite(self._least[first, then])
        else:
            unseen = np.zeros_like(known)
        wrong = np.where(together, ~self._overlap[first, then] & ~unseen & (apart < -_SLACK), apart + _SLACK < least)
        # Cameras that a closed graph does not name have no way to the others.
        strangers = (seen.camera[:, None] != seen.camera[None]) & ~known & self.config.closed
        return seen.nodes((wrong & known) | strangers)

    def late(self, seen: Presences) -> BoolArray:
        """``[N, N]``: pairs of nodes with more time between them, whichever of their presences one takes, than the
        direct way takes at most."""
        if self.config is None or not len(seen.node) or not np.isfinite(self._most).any():
            return np.zeros((seen.count, seen.count), bool)
        rows = np.array([self._number.get(name, -1) for name in seen.names])[seen.camera]
        later = seen.start[:, None] - seen.end[None] > 0
        first, then = np.where(later, rows[None], rows[:, None]), np.where(later, rows[:, None], rows[None])
        most = np.where((first >= 0) & (then >= 0), self._most[first, then], np.inf)
        in_time = seen.apart <= most + _SLACK
        result = ~seen.nodes(in_time)
        np.fill_diagonal(result, False)
        return result
