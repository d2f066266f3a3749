"""What differs between cameras is mostly a shift of the mean: light, lens and viewpoint move the features of everybody
who is seen by a camera the same way. Each camera's mean feature, learnt from its tracks while running, is moved onto
the mean over all cameras before anybody is compared:

    x_ck  <-  normalise(x_ck - s_ck (m_ck - g_k))
    s_ck = n_ck / (n_ck + 20)        g_k = sum_c s_ck m_ck / sum_c s_ck

for part k and camera c, where m_ck is the visibility-weighted mean of the average features of n_ck tracks. With few
tracks the mean says who was there and not how the camera renders people, so it is shrunk. Features are kept as the
engine gives them, and are moved when they are compared: what is kept can be moved anew.

Only the difference between cameras is taken away. Taking away the mean of all people as well changes all similarities,
and with them what the link probability was fitted on; with one camera nothing changes at all.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamreid.association.track_evidence import Evidence, descriptors
from streamreid.association.track_similarity import Views, stack
from streamreid.features.prototype_bank import normalised
from streamreid.types import FloatArray, TrackKey

__all__ = ["CameraMean", "CameraMeans", "pack_means", "unpack_means"]

SHRINK = 20.0
"""Tracks at which half of a camera's difference is believed."""

MEMORY = 500.0
"""Tracks that left the window count as at most so many, so that the mean follows the light of the day."""

BEGIN = 100.0
"""What an earlier run knew counts as at most so many tracks: light may be another by now."""

MOVED = 0.05
"""Length by which the difference of one part may change before all tracks are compared anew: the similarities of
different people are spread by more (0.08)."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraMean:
    """What is known of how a camera renders people.

    Args:
        total: ``[K, D]`` float32, sum over tracks of visibility * average feature.
        weight: ``[K]`` float32, sum over tracks of visibility.
    """

    total: FloatArray
    weight: FloatArray

    def __post_init__(self) -> None:
        if self.total.ndim != 2 or self.weight.shape != self.total.shape[:1]:
            raise ValueError(
                f"CameraMean: expected total [K, D] and weight [K], got {self.total.shape} and {self.weight.shape}"
            )

    def __repr__(self) -> str:
        k, d = self.total.shape
        return f"CameraMean(parts={k}, dim={d}, tracks={float(self.weight.max(initial=0.0)):.1f})"


class CameraMeans:
    """Means of the cameras' features, which follow the tracks of the window and remember those that left it.

    Args:
        enabled: False moves nothing.
        adapt: Applied to all views after they were moved; None: nothing is.
    """

    def __init__(self, *, enabled: bool = True, adapt: Callable[[Views], Views] | None = None) -> None:
        self._enabled = enabled
        self._adapt = adapt
        self._open: dict[TrackKey, CameraMean] = {}
        self._sums: dict[str, CameraMean] = {}
        self._closed: dict[str, CameraMean] = {}
        self._row: dict[str, int] = {}
        self._shift: FloatArray = np.zeros((0, 0, 0), np.float32)

    def __repr__(self) -> str:
        return f"CameraMeans(cameras={sorted(self._sums)})"

    # ---------------------------------------------------------------- learning

    def learn(self, tracks: Mapping[TrackKey, Evidence]) -> None:
        """Take tracks of whom more is known than before."""
        if not self._enabled or not tracks:
            return
        found = descriptors(list(tracks.values()))
        if self._sums and next(iter(self._sums.values())).total.shape != found.shape:
            return  # nothing was seen of them
        weighted = found.parts * found.visibility[..., None]
        for row, key in enumerate(tracks):
            new = CameraMean(weighted[row], found.visibility[row])
            self._sums[key[0]] = _plus(self._sums.get(key[0]), new, self._open.get(key))
            self._open[key] = new

    def close(self, keys: Sequence[TrackKey]) -> None:
        """Tracks leave the window: what they said stays, as long as it is not too much."""
        for key in keys:
            said = self._open.pop(key, None)
            if said is None:
                continue
            camera = key[0]
            closed = _plus(self._closed.get(camera), said)
            most = float(closed.weight.max(initial=0.0))
            if most > MEMORY:
                faded = CameraMean(closed.total * np.float32(MEMORY / most), closed.weight * np.float32(MEMORY / most))
                self._sums[camera] = _plus(self._sums[camera], faded, closed)
                closed = faded
            self._closed[camera] = closed

    def forget(self, camera: str) -> None:
        """A camera was taken out for good."""
        for kept in (self._sums, self._closed):
            kept.pop(camera, None)
        self._open = {key: said for key, said in self._open.items() if key[0] != camera}

    # ---------------------------------------------------------------- what is known

    def known(self) -> dict[str, CameraMean]:
        """Means that may be kept: of cameras with at least ``SHRINK`` tracks, so that none says how one person is."""
        return {c: m for c, m in sorted(self._sums.items()) if float(m.weight.max(initial=0.0)) >= SHRINK}

    def begin(self, means: Mapping[str, CameraMean]) -> None:
        """Begin with what an earlier run knew, before anything is learnt."""
        if not self._enabled:
            return
        for camera, mean in means.items():
            factor = np.float32(min(1.0, BEGIN / max(float(mean.weight.max(initial=0.0)), 1e-6)))
            self._closed[camera] = self._sums[camera] = CameraMean(mean.total * factor, mean.weight * factor)
        self.follow()

    def follow(self) -> bool:
        """Move the cameras' means to where they are now, if that is another place; whether it was."""
        cameras = sorted(self._sums)
        if len(cameras) < 2:
            return False
        total = np.stack([self._sums[c].total for c in cameras])
        weight = np.maximum(np.stack([self._sums[c].weight for c in cameras]), 0.0)
        mean = total / np.maximum(weight, 1e-6)[..., None]
        trust = weight / (weight + np.float32(SHRINK))
        middle = (mean * trust[..., None]).sum(0) / np.maximum(trust.sum(0), 1e-9)[..., None]
        shift = np.asarray((mean - middle) * trust[..., None], np.float32)
        row = {camera: i for i, camera in enumerate(cameras)}
        before = np.zeros_like(shift)
        for camera, at in self._row.items():
            if camera in row:
                before[row[camera]] = self._shift[at]
        if float(np.linalg.norm(shift - before, axis=2).max()) <= MOVED:
            return False
        self._row, self._shift = row, shift
        return True

    # ---------------------------------------------------------------- comparing

    @property
    def moves(self) -> bool:
        """Whether views are moved, so that ``moved`` asks whose they are."""
        return bool(self._row)

    def stack(self, items: Sequence[Evidence]) -> Views:
        """The views of some tracks or identities, moved."""
        return self.moved(stack(items), items)

    def moved(self, views: Views, items: Sequence[Evidence]) -> Views:
        """Views of some tracks or identities, moved; of an identity that several cameras saw as far as each of them
        did. Whose they are is asked only where it ``moves`` anything."""
        views = self._shifted(views, items)
        return views if self._adapt is None else self._adapt(views)

    def _shifted(self, views: Views, items: Sequence[Evidence]) -> Views:
        if not self._row or views.parts.shape[2:] != self._shift.shape[1:]:
            return views
        share = np.zeros((len(items), len(self._shift)), np.float32)
        for number, item in enumerate(items):
            for camera, mass in item.origin().items():
                if camera in self._row:
                    share[number, self._row[camera]] = mass
        share /= np.maximum(share.sum(1, keepdims=True), 1e-9)
        k, d = self._shift.shape[1:]
        shift = (share @ self._shift.reshape(-1, k * d)).reshape(len(items), 1, k, d)
        return Views(normalised(views.parts - shift * (views.mass > 0)[..., None]), views.mass, views.visibility)


def pack_means(means: Mapping[str, CameraMean]) -> bytes:
    """Means as bytes; see `unpack_means`."""
    file = io.BytesIO()
    arrays = {f"{name}{i}": getattr(m, name) for i, m in enumerate(means.values()) for name in ("total", "weight")}
    np.savez(file, cameras=np.array(list(means), np.str_), **arrays)
    return file.getvalue()


def unpack_means(data: bytes) -> dict[str, CameraMean]:
    """Means from `pack_means`; none from no bytes.

    Raises:
        ValueError: The bytes are damaged.
    """
    if not data:
        return {}
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            cameras = found["cameras"].tolist()
            return {c: CameraMean(found[f"total{i}"], found[f"weight{i}"]) for i, c in enumerate(cameras)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"the cameras' means cannot be read: {error}") from None


def _plus(a: CameraMean | None, b: CameraMean, less: CameraMean | None = None) -> CameraMean:
    total, weight = b.total, b.weight
    if a is not None:
        total, weight = a.total + total, a.weight + weight
    if less is not None:
        total, weight = total - less.total, weight - less.weight
    return CameraMean(total, weight)
