"""What people said of pairs of tracks: one person (must-link) or two (cannot-link).

Must-link pairs are transitive: tracks that are linked by a chain of them form a group, and a cannot-link pair keeps two
whole groups apart (Wagstaff et al., "Constrained k-means clustering with background knowledge", ICML 2001).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from streamreid.types import IntArray, TrackKey

__all__ = ["TrackConstraints"]

TrackPair = tuple[TrackKey, TrackKey]


class TrackConstraints:
    """Pairs of tracks of which people said that they are one person or two. Tracks need not have been seen yet.

    Example:
        >>> said = TrackConstraints()
        >>> said.say(("hall", 1), ("yard", 7), same=True)
        >>> said.say(("hall", 1), ("yard", 9), same=False)
        >>> said.answer(("yard", 7), ("yard", 9))
        False
    """

    def __init__(self) -> None:
        self._said: dict[TrackPair, bool] = {}
        self._group: dict[TrackKey, int] = {}
        self._apart: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._said)

    def __repr__(self) -> str:
        return f"TrackConstraints(pairs={len(self)})"

    @property
    def pairs(self) -> Mapping[TrackPair, bool]:
        """What was said of which pairs; the lesser track first."""
        return self._said

    def say(self, one: TrackKey, other: TrackKey, *, same: bool) -> None:
        """Say that two tracks are one person, or two people. The newer word about the same pair counts.

        Raises:
            ValueError: The same track twice, or this contradicts what was said of other pairs.
        """
        pair = _pair(one, other)
        before = self._said.get(pair)
        self._said[pair] = same
        try:
            self._regroup()
        except ValueError:
            if before is None:
                del self._said[pair]
            else:
                self._said[pair] = before
            self._regroup()
            raise

    def take_back(self, one: TrackKey, other: TrackKey) -> bool:
        """Nothing was said of these two any more; whether anything had been."""
        gone = self._said.pop(_pair(one, other), None)
        self._regroup()
        return gone is not None

    def forget(self, keys: Iterable[TrackKey]) -> None:
        """Keep nothing of these tracks."""
        gone = set(keys)
        kept = {pair: same for pair, same in self._said.items() if not gone & set(pair)}
        if len(kept) < len(self._said):
            self._said = kept
            self._regroup()

    def answer(self, one: TrackKey, other: TrackKey) -> bool | None:
        """What follows for two tracks from all that was said: one person, two people, or nothing."""
        a, b = self._group.get(one), self._group.get(other)
        if a is None or b is None:
            return True if one == other else None
        return True if a == b else False if _ordered(a, b) in self._apart else None

    def partners(self, keys: Iterable[TrackKey]) -> set[TrackKey]:
        """Tracks that are one person with any of these."""
        groups = {self._group[key] for key in keys if key in self._group} if self._said else set()
        return {key for key, group in self._group.items() if group in groups}

    def rows(
        self, keys: Sequence[TrackKey], past: Sequence[int], owner: Callable[[TrackKey], int]
    ) -> tuple[IntArray, IntArray]:
        """What was said, as pairs of nodes.

        Args:
            keys: The tracks, which are the first nodes.
            past: Global ids of older identities, which are the next nodes.
            owner: Global id of a track, 0 if it has none; tracks that are not among ``keys`` count for theirs.

        Returns:
            ``[M, 2]`` pairs that are one person and ``[C, 2]`` pairs that are two, the lesser node first. Two older
            identities are no pair.
        """
        nothing = np.zeros((0, 2), np.int64)
        if not self._said:
            return nothing, nothing
        row_of = {key: row for row, key in enumerate(keys)}
        past_row = {gid: len(keys) + row for row, gid in enumerate(past)}
        members: dict[int, set[int]] = defaultdict(set)
        for key, group in self._group.items():
            row = row_of.get(key)
            row = past_row.get(owner(key)) if row is None else row
            if row is not None:
                members[group].add(row)
        tracks = len(keys)
        cannot = {
            _ordered(i, j)
            for a, b in self._apart
            for i in members[a]
            for j in members[b]
            if i != j and min(i, j) < tracks
        }
        linked = {(i, j) for rows in members.values() for i in rows for j in rows if i < j and i < tracks}
        must = linked - cannot
        return (
            np.array(sorted(must), np.int64).reshape(-1, 2),
            np.array(sorted(cannot), np.int64).reshape(-1, 2),
        )

    def _regroup(self) -> None:
        parent: dict[TrackKey, TrackKey] = {}

        def root(key: TrackKey) -> TrackKey:
            while parent.setdefault(key, key) != key:
                parent[key] = parent[parent[key]]
                key = parent[key]
            return key

        for (one, other), same in self._said.items():
            a, b = root(one), root(other)
            if same:
                parent[max(a, b)] = min(a, b)
        number: dict[TrackKey, int] = {}
        group = {key: number.setdefault(root(key), len(number) + 1) for key in list(parent)}
        apart = set()
        for (one, other), same in self._said.items():
            if same:
                continue
            if group[one] == group[other]:
                raise ValueError(
                    f"tracks {_text(one)} and {_text(other)} are said to be two people, and by a chain of other pairs "
                    "to be one; take one of these back"
                )
            apart.add(_ordered(group[one], group[other]))
        self._group, self._apart = group, apart


def _pair(one: TrackKey, other: TrackKey) -> TrackPair:
    if one == other:
        raise ValueError(f"a correction needs two tracks, got {_text(one)} twice")
    return (one, other) if one < other else (other, one)


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _text(key: TrackKey) -> str:
    return f"{key[0]}/{key[1]}"
