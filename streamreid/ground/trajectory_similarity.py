"""Trajectories of tracks on the ground: how likely two are one person's, and who is who."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array, FloatArray, IntArray, TrackKey

__all__ = ["BIN", "TrajectorySimilarity", "names_of"]

BIN = 0.5  # seconds: positions of two tracks are compared at such moments
_NEAR = 0.35  # metres: standard deviation of the distance of two views of one person
_ROOM = 100.0  # square metres in which two different people may be
_AT_ONE_PLACE = float(np.log(_ROOM / (2 * np.pi * _NEAR**2)))
_CUT = 3.0  # metres: further apart says no more
_REMEMBERED = 8
"""Questions for which sums are kept of tracks that are not asked about: some are about a few other tracks."""

_FASTEST = 4.0  # metres per second
_GRID = 2.0**-32
"""Log-odds of one moment are multiples of this: sums of float64 are then exact, so what is added and taken away again
leaves nothing, and the order does not matter."""

Position = tuple[float, float, int]
"""x and y in metres, and the number on the ground, 0 where it is not known."""
_UNKNOWN: Position = (np.nan, np.nan, 0)


class _Trajectory:
    """Places of one track by moment, in the order in which they came, and the first and last moment."""

    __slots__ = ("first", "last", "positions")

    def __init__(self) -> None:
        self.positions: dict[int, Position] = {}
        self.first = self.last = 0

    def put(self, moment: int, position: Position) -> None:
        if not self.positions:
            self.first = self.last = moment
        self.positions[moment] = position
        self.first, self.last = min(self.first, moment), max(self.last, moment)

    def drop_oldest(self) -> int:
        moment = next(iter(self.positions))
        del self.positions[moment]
        if moment in (self.first, self.last):
            self.first, self.last = min(self.positions), max(self.positions)
        return moment


class TrajectorySimilarity:
    """Log-odds of every pair of tracks by their trajectories, kept from question to question: only what changed is
    compared anew.

    Where both were seen within half a second, their distance d speaks: log(room / (2 pi s^2)) - d^2 / (2 s^2), once per
    second of common time, at most six times. One number on the ground is one person. Otherwise only the speed it would
    take does. Per pair, the sum over common moments and their number are kept; a moment whose positions changed is
    taken out and put in again for the tracks it concerns. Tracks that nobody asks about are not compared.

    Args:
        moments: Positions kept per track; the oldest go first. Bounds memory and the comparison of two tracks.

    Attributes:
        compared: Pairs of positions that were compared so far, and pairs of tracks whose log-odds were worked out anew.
    """

    def __init__(self, moments: int) -> None:
        self._most = moments
        self._tracks: dict[TrackKey, _Trajectory] = {}
        self._cameras: dict[str, int] = {}
        self._slots: dict[TrackKey, int] = {}
        self._owners: dict[int, TrackKey] = {}
        self._free: list[int] = []
        self._changed: dict[int, set[int]] = defaultdict(set)  # slots by moment
        # Positions by moment and slot, as the sums have them; NaN where there is none.
        self._applied: Float64Array = np.full((16, 0, 3), np.nan)
        self._row: dict[int, int] = {}  # of each moment in ``_applied``
        self._sum: Float64Array = np.zeros((0, 0))
        self._count: NDArray[np.int32] = np.zeros((0, 0), np.int32)
        self._odds: FloatArray = np.zeros((0, 0), np.float32)
        self._ends: Float64Array = np.zeros((0, 2, 4))  # moment, x, y, number of the first and the last position
        self._camera: IntArray = np.zeros(0, np.int64)
        self._asked = 0
        self._last_asked: dict[TrackKey, int] = {}  # by the number of the question
        self.compared = 0

    def __len__(self) -> int:
        return len(self._tracks)

    def __contains__(self, key: TrackKey) -> bool:
        return key in self._tracks

    def put(self, key: TrackKey, moment: int, position: Position) -> None:
        """A track stood there in this half second; the last word of a moment counts.

        Args:
            key: The track.
            moment: Number of the half second.
            position: Where; finite.
        """
        track = self._tracks.get(key)
        if track is None:
            track = self._tracks[key] = _Trajectory()
        track.put(moment, position)
        slot = self._slots.get(key)
        if slot is not None:
            self._changed[moment].add(slot)
        if len(track.positions) > self._most:
            gone = track.drop_oldest()
            if slot is not None:
                self._changed[gone].add(slot)

    def forget(self, keys: Iterable[TrackKey]) -> None:
        """These tracks will not be asked about again."""
        gone = [key for key in keys if self._tracks.pop(key, None) is not None]
        for key in gone:
            self._last_asked.pop(key, None)
        self._release([key for key in gone if key in self._slots])

    def forget_numbers(self, cameras: Collection[str]) -> None:
        """Numbers on the ground of these cameras' tracks say nothing any more."""
        for key, track in self._tracks.items():
            if key[0] in cameras:
                for moment, (x, y, _) in track.positions.items():
                    track.positions[moment] = x, y, 0
                    if key in self._slots:
                        self._changed[moment].add(self._slots[key])

    def log_odds(self, a: Sequence[TrackKey], b: Sequence[TrackKey]) -> FloatArray:
        """``[N, M]`` float32; 0 for tracks of which no position is known, and for a track and itself."""
        wanted = {key for key in (*a, *b) if key in self._tracks}
        self._asked += 1
        self._last_asked.update(dict.fromkeys(wanted, self._asked))
        old = [key for key in self._slots if self._last_asked[key] < self._asked - _REMEMBERED]
        self._release(old)
        for key in old:
            del self._last_asked[key]
        for key in sorted(wanted - self._slots.keys()):
            self._admit(key)
        self._update()
        # The last slot is never given away: it stands for tracks without a position.
        rows, columns = [np.array([self._slots.get(key, -1) for key in keys], np.intp) for keys in (a, b)]
        if not self._slots:
            return np.zeros((len(a), len(b)), np.float32)
        return self._odds[np.ix_(rows, columns)]

    # ---------------------------------------------------------------- slots

    def _admit(self, key: TrackKey) -> None:
        if not self._free:
            self._grow()
        slot = self._slots[key] = self._free.pop()
        self._owners[slot] = key
        self._camera[slot] = self._cameras.setdefault(key[0], len(self._cameras))
        self._ends[slot] = np.nan
        for moment in self._tracks[key].positions:
            self._changed[moment].add(slot)

    def _grow(self) -> None:
        old = len(self._sum)
        new = max(16, 2 * old)
        self._free = list(range(new - 2, max(old - 1, 0) - 1, -1))
        for name in ("_sum", "_count", "_odds"):
            former = getattr(self, name)
            grown = np.zeros((new, new), former.dtype)
            grown[:old, :old] = former
            setattr(self, name, grown)
        self._ends = np.concatenate([self._ends, np.full((new - old, 2, 4), np.nan)])
        more = np.full((len(self._applied), new - old, 3), np.nan)
        self._applied = np.concatenate([self._applied, more], 1)
        self._camera = np.concatenate([self._camera, np.full(new - old, -1)])

    def _release(self, keys: Sequence[TrackKey]) -> None:
        if not keys:
            return
        slots = [self._slots.pop(key) for key in keys]
        gone = set(slots)
        for slot in slots:
            del self._owners[slot]
        for values in (self._sum, self._count, self._odds):
            values[slots] = 0
            values[:, slots] = 0
        self._applied[:, slots] = np.nan
        for moment in list(self._changed):
            self._changed[moment] -= gone
        self._free += slots

    # ---------------------------------------------------------------- comparison

    def _update(self) -> None:
        """Compare what changed since the last question."""
        changed = {moment: slots for moment, slots in self._changed.items() if slots}
        self._changed.clear()
        if not changed:
            return
        concerned: set[int] = set()
        for moment, slots in changed.items():
            concerned.update(self._compare_moment(moment, slots))
        rows = np.array(sorted(set().union(*changed.values())), np.intp)
        before = self._ends[rows]
        self._ends[rows] = [self._ends_of(self._owners[slot]) for slot in rows.tolist()]
        same_begin = (before[:, 0] == self._ends[rows, 0]).all(1)
        every = np.array(sorted(self._owners), np.intp)
        self._combine(rows[~same_begin], every)
        if same_begin.any():
            # Tracks that only went on are as they were to those that ended before: these are not compared.
            since = np.minimum(before[same_begin, 1, 0], self._ends[rows[same_begin], 1, 0]).min()
            near = self._ends[every, 1, 0] >= since
            near |= np.isin(every, np.array(sorted(concerned), np.intp))
            self._combine(rows[same_begin], every[near])

    def _ends_of(self, key: TrackKey) -> list[tuple[float, ...]]:
        track = self._tracks[key]
        return [(moment, *track.positions[moment]) for moment in (track.first, track.last)]

    def _row_of(self, moment: int) -> int:
        """Where positions of a moment are kept."""
        if moment not in self._row:
            if len(self._row) == len(self._applied):
                used = np.asarray(np.isfinite(self._applied[:, :, 0]).any(1), bool)
                self._row = {when: row for when, row in self._row.items() if used[row]}
            if len(self._row) == len(self._applied):
                self._applied = np.concatenate([self._applied, np.full_like(self._applied, np.nan)])
            taken = set(self._row.values())
            self._row[moment] = next(row for row in range(len(self._applied)) if row not in taken)
        return self._row[moment]

    def _compare_moment(self, moment: int, slots: set[int]) -> list[int]:
        """Bring the sums of these tracks up to date with one moment; all tracks that were there."""
        rows = np.array(sorted(slots), np.intp)
        place = self._row_of(moment)
        table = self._applied[place]
        before = np.isfinite(table[:, 0])
        formerly = bool(before[rows].any())
        former = table.copy() if formerly else table
        table[rows] = [self._tracks[self._owners[slot]].positions.get(moment, _UNKNOWN) for slot in rows.tolist()]
        at = np.flatnonzero(before | np.isfinite(table[:, 0]))
        rows = rows[np.isfinite(table[rows, 0]) | before[rows]]
        if not len(rows):
            return []
        value, common = _each(table[rows], table[at])
        if formerly:
            old, old_common = _each(former[rows], former[at])
            value, common = value - old, common - old_common
        self.compared += value.size
        rest = np.ones(len(at), bool)
        rest[np.searchsorted(at, rows)] = False
        for total, change in ((self._sum, value), (self._count, common)):
            total[rows[:, None], at] += change
            if rest.any():
                total[at[rest][:, None], rows] += change[:, rest].T
        return at.tolist()

    def _combine(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> None:
        """Work out the log-odds of these tracks with those."""
        if not len(rows):
            return
        at = np.ix_(rows, others)
        count = self._count[at]
        mean = self._sum[at] / np.maximum(count, 1)
        together = np.clip(mean * np.minimum(0.5 + count * BIN, 6.0), -30.0, 20.0)
        one_camera = self._camera[rows][:, None] == self._camera[others]
        apart = _apart(self._ends[rows], self._ends[others])
        odds = np.where((count > 0) & ~one_camera, together, apart).astype(np.float32)
        odds[rows[:, None] == others] = 0.0
        self._odds[at] = odds
        self._odds[np.ix_(others, rows)] = odds.T
        self.compared += odds.size


def _each(mine: Float64Array, table: Float64Array) -> tuple[Float64Array, NDArray[np.int32]]:
    """Of one moment, log-odds of some tracks ``[R, 3]`` (x, y and number on the ground; NaN where one was not) with all
    ``[N, 3]``, 0 where either was not there, and where both were: ``[R, N]``."""
    across, down = mine[:, None, 0] - table[:, 0], mine[:, None, 1] - table[:, 1]
    gap = across * across + down * down
    common = np.isfinite(gap)
    value = _AT_ONE_PLACE - np.minimum(gap, _CUT**2) / (2 * _NEAR**2)
    one, two = mine[:, 2] > 0, table[:, 2] > 0
    np.minimum(value, np.where(one[:, None] & two, -2.0, 3.0), out=value)
    np.maximum(value, np.where(one[:, None] & two, -np.inf, -8.0), out=value)
    value[one[:, None] & (mine[:, None, 2] == table[:, 2])] = 4.0
    return np.where(common, np.round(value / _GRID) * _GRID, 0.0), common.astype(np.int32)


def _apart(a: Float64Array, b: Float64Array) -> Float64Array:
    """``[N, M]`` log-odds of tracks one after the other, by their first and last positions ``[N, 2, 4]`` and ``[M, 2,
    4]``: the same number goes on, or nobody is that fast."""
    after = b[None, :, 0, 0] >= a[:, None, 1, 0]
    before = b[None, :, 1, 0] <= a[:, None, 0, 0]
    odds = np.zeros(after.shape)
    i, j = np.nonzero(after | before)
    later = after[i, j].astype(np.intp)
    own, theirs = a[i, later], b[j, 1 - later]
    seconds = np.abs(theirs[:, 0] - own[:, 0]) * BIN
    way = np.hypot(own[:, 1] - theirs[:, 1], own[:, 2] - theirs[:, 2])
    goes_on = (own[:, 3] == theirs[:, 3]) & (own[:, 3] > 0)
    odds[i, j] = np.where(goes_on, 6.0, np.where(way > 1.5 + _FASTEST * (seconds + BIN), -30.0, 0.0))
    return odds


def names_of(
    votes: Mapping[int, Mapping[TrackKey, int]],
    spans: Mapping[int, tuple[float, float]],
    identities: Mapping[TrackKey, tuple[int, float]],
) -> dict[int, int]:
    """The global id of each number on the ground: that of most of its boxes, unless somebody else has it at the same
    time."""
    wishes: list[tuple[int, int, int]] = []
    for number, keys in votes.items():
        weights: dict[int, int] = defaultdict(int)
        for key, count in keys.items():
            if identities.get(key, (0, 0.0))[0]:
                weights[identities[key][0]] += count
        wishes += [(count, number, who) for who, count in weights.items()]
    names: dict[int, int] = {}
    taken: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for _, number, who in sorted(wishes, key=lambda w: (-w[0], w[1], w[2])):
        begin, end = spans[number]
        if number not in names and not any(b < end and begin < e for b, e in taken[who]):
            names[number] = who
            taken[who].append((begin, end))
    fresh = max([*(who for who, _ in identities.values()), *names.values(), 0]) + 1
    for number in sorted(spans):
        if number not in names:
            names[number], fresh = fresh, fresh + 1
    return names
