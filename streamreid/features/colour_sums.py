"""Means of the colours of many looks at each track."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np

from streamreid.features.part_colours import ColourArray
from streamreid.types import Float64Array, TrackKey

__all__ = ["ColourSums"]


class ColourSums:
    """Colours of tracks, each look weighed by how well the parts were seen; from one thread at a time.

    Args:
        most: Tracks that are remembered, the newest.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums: OrderedDict[TrackKey, Float64Array] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sums)

    def __contains__(self, key: TrackKey) -> bool:
        return key in self._sums

    def __iter__(self) -> Iterator[TrackKey]:
        return iter(tuple(self._sums))

    def add(self, camera: str, ids: Sequence[int], colours: ColourArray) -> list[int]:
        """Take a look at a frame.

        Args:
            camera: Of the frame.
            ids: ``[N]`` track ids.
            colours: ``[N, 4, 4]``, see `ColourArray`.

        Returns:
            Rows of those of whom anything was seen.
        """
        rows: list[int] = np.flatnonzero(colours[..., 3].any(1)).tolist()
        for row in rows:
            key = camera, int(ids[row])
            weight = colours[row, :, 3:].astype(np.float64)
            total = np.concatenate([colours[row, :, :3] * weight, weight], 1)
            self._sums[key] = self._sums[key] + total if key in self._sums else total
        while len(self._sums) > self._most:
            self._sums.popitem(last=False)
        return rows

    def mean(self, key: TrackKey) -> ColourArray | None:
        """Of a track ``[4, 4]``: blue, green, red, and 255 for a part that was seen, else 0; None if nothing is
        known."""
        total = self._sums.get(key)
        if total is None:
            return None
        seen = total[:, 3:] > 0
        means = (total[:, :3] / np.maximum(total[:, 3:], 1e-9)).round() * seen
        return np.concatenate([means, 255 * seen], 1).astype(np.uint8)

    def discard(self, key: TrackKey) -> None:
        """Let go of a track."""
        self._sums.pop(key, None)
