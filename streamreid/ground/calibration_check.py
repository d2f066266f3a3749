"""Calibrations that contradict each other, noticed from people whom two cameras see at once.

Who is whom is not known, and places cannot tell if a calibration is wrong. But a way seen by both has the same shape:
somewhere else, turned, mirrored, or in another unit. So ways of one camera are laid onto ways of the other by the
similarity that fits best (Procrustes), and what brings many people of many moments together, while calibration as given
does not, is a contradiction.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.types import FloatArray

__all__ = ["CalibrationCheck", "Contradiction", "worst"]

Plane = NDArray[np.complex128]
"""Points on the ground as complex numbers."""

_MOMENTS = 600  # remembered of each camera
_EVERY = 20  # moments between two looks at a pair
_LEAST = 12  # moments that two ways have in common
_ENOUGH = 40  # people-moments that must agree
_NEAR = 0.7  # metres
_FAR = 1.0  # metres: calibrations that agree so well are good enough
_SHAPE = 0.06  # what of a way's variance may remain unexplained
_TRIALS = 12
"""Best guesses, of how one ground plan lies on the other, that are tried on all people."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two cameras that put the same people in different places.

    Args:
        cameras: Their names.
        metres: Median distance of the two places of one person.
        mirrored: Whether one is the mirror image of the other.
        scale: By how much the second's world is larger.
    """

    cameras: tuple[str, str]
    metres: float
    mirrored: bool
    scale: float

    def __str__(self) -> str:
        a, b = self.cameras
        how = "; one is the mirror image of the other" if self.mirrored else ""
        if not 0.5 < self.scale < 2.0:
            how += (
                f"; the world of '{b}' is {self.scale:.3g} times as large, as if the units differed (calibration.unit)"
            )
        return (
            f"the calibrations of '{a}' and '{b}' contradict each other: they put the same people {self.metres:.1f} m "
            f"apart (median){how}. What they say of places is not used between these two. Check both files, their "
            "units and origins (and the clocks of the cameras)"
        )


class CalibrationCheck:
    """Collects where tracks stand by their own camera alone, and compares cameras from time to time. How many people of
    a moment come together is counted once per pair of cameras, and again only if the moment changed."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[int, dict[int, complex]]] = defaultdict(dict)
        self._compared: dict[tuple[str, str], int] = {}
        self._agree: dict[tuple[str, str], dict[int, tuple[int, int]]] = defaultdict(dict)
        self.found: dict[tuple[str, str], Contradiction] = {}

    def observe(
        self, camera: str, moment: int, tracks: NDArray[np.int64], points: FloatArray | NDArray[np.float64]
    ) -> list[Contradiction]:
        """Take a frame; the last of a moment counts.

        Args:
            camera: Name.
            moment: Number of the half second.
            tracks: ``[N]`` ids.
            points: ``[N, 2]`` metres by this camera's feet alone, NaN where unknown.

        Returns:
            What was found out just now.
        """
        mine = self._seen[camera]
        fresh = moment not in mine
        known = np.isfinite(points).all(1)
        mine[moment] = dict(
            zip(tracks[known].tolist(), (points[known, 0] + 1j * points[known, 1]).tolist(), strict=True)
        )
        stale = [moment]
        if len(mine) > _MOMENTS:
            stale.append(next(iter(mine)))
            del mine[stale[-1]]
        for pair, agree in self._agree.items():
            if camera in pair:
                for old in stale:
                    agree.pop(old, None)
        return self._compare_pairs(camera, moment) if fresh else []

    def _compare_pairs(self, camera: str, moment: int) -> list[Contradiction]:
        new = []
        for other in self._seen:
            pair = (min(camera, other), max(camera, other))
            if other == camera or pair in self.found or moment - self._compared.setdefault(pair, moment) < _EVERY:
                continue
            self._compared[pair] = moment
            if (found := self._compare(*pair)) is not None:
                self.found[pair] = found
                new.append(found)
        return new

    def _compare(self, a: str, b: str) -> Contradiction | None:
        """See the module."""
        one, two = self._seen[a], self._seen[b]
        agree = self._agree[a, b]
        for moment, here in one.items():
            if moment not in agree and here and (there := two.get(moment)):
                agree[moment] = _together([_cloud(here, there)], 1.0, 0.0, False, _FAR)[0], min(len(here), len(there))
        given, total = (sum(counts) for counts in zip(*agree.values(), strict=True)) if agree else (0, 0)
        if total < _ENOUGH or given > 0.4 * total:
            return None
        common = [(one[m], two[m]) for m in one if m in two and one[m] and two[m]]
        clouds = [_cloud(x, y) for x, y in common]
        best: tuple[int, Contradiction] | None = None
        for turn, shift, mirrored in self._trials(common):
            near = _NEAR * (abs(turn) if abs(turn) > 10 and _spread(clouds) > 0.05 else 1.0)
            count, apart = _together(clouds, turn, shift, mirrored, near)
            metres = float(np.median(apart)) if apart else 0.0
            enough = count >= max(_ENOUGH, 0.6 * total, given + 0.35 * total)
            if enough and metres > _FAR and (best is None or count > best[0]):
                best = count, Contradiction((a, b), metres, mirrored, abs(turn))
        return best and best[1]

    def _trials(
        self, common: list[tuple[dict[int, complex], dict[int, complex]]]
    ) -> list[tuple[complex, complex, bool]]:
        """Similarities that lay a long way of one camera onto one of the other: z -> turn * z + shift, mirrored first
        or not."""
        ways: dict[tuple[int, int], list[tuple[complex, complex]]] = defaultdict(list)
        for x, y in common:
            for i, p in x.items():
                for k, q in y.items():
                    ways[i, k].append((p, q))
        trials = []
        for points in ways.values():
            if len(points) < _LEAST:
                continue
            p, q = np.array(points).T
            p0, q0 = p - p.mean(), q - q.mean()
            size_p, size_q = float((abs(p0) ** 2).sum()), float((abs(q0) ** 2).sum())
            if min(size_p, size_q) <= 0 or max(size_p, size_q) / len(points) < 0.25:
                continue
            for mirrored in (False, True):
                base = p0.conj() if mirrored else p0
                turn = complex(np.vdot(base, q0) / size_p)
                rest = 1 - abs(turn) ** 2 * size_p / size_q
                if rest < _SHAPE:
                    mean = complex(p.mean().conjugate() if mirrored else p.mean())
                    trials.append((rest / len(points), turn, complex(q.mean()) - turn * mean, mirrored))
        return [t[1:] for t in sorted(trials, key=lambda t: t[0])[:_TRIALS]]


def _cloud(one: dict[int, complex], other: dict[int, complex]) -> tuple[Plane, Plane]:
    return np.array(list(one.values())), np.array(list(other.values()))


def _spread(clouds: list[tuple[Plane, Plane]]) -> float:
    return float(np.std(np.concatenate([p for p, _ in clouds])))


def _together(
    clouds: list[tuple[Plane, Plane]], turn: complex, shift: complex, mirrored: bool, near: float
) -> tuple[int, list[float]]:
    """How many people of all moments come together, and how far apart their places are as given."""
    count, apart = 0, []
    for p, q in clouds:
        moved = turn * (p.conj() if mirrored else p) + shift
        gap = abs(moved[:, None] - q[None])
        one, two = np.nonzero(gap < near)
        order = np.argsort(gap[one, two], kind="stable")
        free_one, free_two = [True] * len(p), [True] * len(q)
        for i, k in zip(one[order].tolist(), two[order].tolist(), strict=True):  # the nearest two first
            if free_one[i] and free_two[k]:
                free_one[i] = free_two[k] = False
                count += 1
                apart.append(float(abs(p[i] - q[k])))
    return count, apart


def worst(found: dict[tuple[str, str], Contradiction]) -> set[str]:
    """The cameras to leave out so that no two that are left contradict each other: first those with most
    contradictions."""
    left = set(found)
    out: set[str] = set()
    while left:
        names = sorted({n for pair in left for n in pair})
        most = max(names, key=lambda n: (sum(n in pair for pair in left), n))
        out.add(most)
        left = {pair for pair in left if most not in pair}
    return out
