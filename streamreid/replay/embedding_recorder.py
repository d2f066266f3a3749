"""A replay that keeps every look at every track, for what is fitted on recordings."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from streamreid.association.pair_sampling import Look
from streamreid.config import Config
from streamreid.features.similarity import Calibration
from streamreid.pipeline.tracking_stage import TrackObservation
from streamreid.replay.replay import Replay

__all__ = ["EmbeddingRecorder"]

_MOST = 64  # looks per track; of more, every second is dropped


class EmbeddingRecorder(Replay):
    """A replay of a cache. After it has run, ``looks`` and ``spans`` tell what was seen of each track.

    Args:
        folder: The cache.
        config: Settings to replay with; default those of the run that was stored.
    """

    def __init__(self, folder: Path | str, config: Config | None = None) -> None:
        super().__init__(folder, config)
        self.looks: dict[tuple[str, int], list[Look]] = defaultdict(list)
        self.spans: dict[tuple[str, int], tuple[float, float]] = {}
        self._stride: dict[tuple[str, int], int] = defaultdict(lambda: 1)
        self._count: dict[tuple[str, int], int] = defaultdict(int)

    @property
    def site(self) -> Calibration:
        """The engine's calibration as it followed the site."""
        return self._calibration.calibration

    def _observe(self, observations: list[TrackObservation]) -> bool:
        for seen in observations:
            for row, track_id in enumerate(seen.tracks.ids.tolist()):
                key = (seen.camera, track_id)
                start, end = self.spans.get(key, (seen.time, seen.time))
                self.spans[key] = min(start, seen.time), max(end, seen.time)
                if seen.features.visibility[row].any():
                    self._keep(key, seen, row)
        return super()._observe(observations)

    def _keep(self, key: tuple[str, int], seen: TrackObservation, row: int) -> None:
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
