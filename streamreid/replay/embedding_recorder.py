"""Keeps embeddings of every track of a run, for what is fitted on recordings."""

from __future__ import annotations

from collections import defaultdict

from streamreid.association.pair_sampling import Look
from streamreid.track_update import TrackObservation, TrackUpdate
from streamreid.types import TrackKey

__all__ = ["EmbeddingRecorder"]

_MOST = 64  # embeddings per track; of more, every second is dropped


class EmbeddingRecorder:
    """An observer of a run (``Replay(..., observers=[recorder])``).

    Attributes:
        looks: The embeddings of each track, over its whole time.
        spans: Capture times of the first and last observation of each track.
    """

    def __init__(self) -> None:
        self.looks: dict[TrackKey, list[Look]] = defaultdict(list)
        self.spans: dict[TrackKey, tuple[float, float]] = {}
        self._stride: dict[TrackKey, int] = defaultdict(lambda: 1)
        self._count: dict[TrackKey, int] = defaultdict(int)

    def __repr__(self) -> str:
        return f"EmbeddingRecorder(tracks={len(self.spans)})"

    def __call__(self, update: TrackUpdate) -> None:
        """Take the observations of an update."""
        for seen in update.observations:
            for row, track_id in enumerate(seen.tracks.ids.tolist()):
                key = (seen.camera, track_id)
                start, end = self.spans.get(key, (seen.time, seen.time))
                self.spans[key] = min(start, seen.time), max(end, seen.time)
                if seen.features.visibility[row].any():
                    self._keep(key, seen, row)

    def _keep(self, key: TrackKey, seen: TrackObservation, row: int) -> None:
        self._count[key] += 1
        if self._count[key] % self._stride[key]:
            return
        looks = self.looks[key]
        looks.append(
            Look(
                seen.time,
                seen.features.parts[row].copy(),
                seen.features.visibility[row].copy(),
                float(seen.quality[row]),
            )
        )
        if len(looks) > _MOST:
            self.looks[key] = looks[::2]
            self._stride[key] *= 2
