"""Pictures of the tracks of a cache, cut once more out of the recordings that the cache names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamreid.association.pair_sampling import Look
from streamreid.cache.manifest import check_sources
from streamreid.config import CameraConfig, Config
from streamreid.errors import DataError
from streamreid.reid.crops import crop_batch
from streamreid.replay.embedding_recorder import EmbeddingRecorder
from streamreid.replay.link_calibration import Walked, walked_by
from streamreid.replay.replay import Replay
from streamreid.replay.site_tracks import RecordedTracks
from streamreid.sources import open_source
from streamreid.track_update import TrackUpdate
from streamreid.types import Detections, FloatArray, Image, PartFeatures, TrackKey

__all__ = ["PICTURES", "SitePictures", "TrackBoxes", "read_pictures", "walk_with_boxes"]

PICTURES = 6
"""Of each track, spread over its time."""

_LEAST = 0.5
"""Share of the pictures that must be found again."""


@dataclass(frozen=True, slots=True)
class _Box:
    time: float
    box: FloatArray
    quality: float


class TrackBoxes:
    """An observer of a run: where each track was when it was looked at, at most twice ``PICTURES`` times."""

    def __init__(self) -> None:
        self.boxes: dict[TrackKey, list[_Box]] = defaultdict(list)
        self._stride: dict[TrackKey, int] = defaultdict(lambda: 1)
        self._count: dict[TrackKey, int] = defaultdict(int)

    def __call__(self, update: TrackUpdate) -> None:
        """Take the observations of an update."""
        for seen in update.observations:
            for row, track in enumerate(seen.tracks.ids.tolist()):
                key = seen.camera, track
                if not seen.features.visibility[row].any():
                    continue
                self._count[key] += 1
                if self._count[key] % self._stride[key]:
                    continue
                kept = self.boxes[key]
                kept.append(_Box(seen.time, seen.tracks.boxes[row].copy(), float(seen.quality[row])))
                if len(kept) >= 2 * PICTURES:
                    self.boxes[key] = kept[::2]
                    self._stride[key] *= 2


@dataclass(frozen=True, slots=True, eq=False)
class SitePictures:
    """M pictures of the tracks of several recordings.

    Args:
        pictures: ``[M, H, W, 3]`` uint8 BGR.
        owner: Of each picture: number of the recording, and track.
        time: Of each picture, capture time in seconds.
        quality: ``[M]`` in [0, 1].
        spans: Capture times of the first and last observation, by recording.
    """

    pictures: Image
    owner: list[tuple[int, TrackKey]]
    time: list[float]
    quality: list[float]
    spans: list[Mapping[TrackKey, tuple[float, float]]]

    def recorded(self, features: PartFeatures) -> list[RecordedTracks]:
        """The tracks with the features of their pictures, ``[M]``."""
        looks: list[dict[TrackKey, list[Look]]] = [defaultdict(list) for _ in self.spans]
        for row, (number, key) in enumerate(self.owner):
            look = Look(self.time[row], features.parts[row], features.visibility[row], self.quality[row])
            looks[number][key].append(look)
        return [RecordedTracks(dict(found), spans) for found, spans in zip(looks, self.spans, strict=True)]


def walk_with_boxes(cache: Path, config: Config | None = None) -> tuple[Walked, TrackBoxes]:
    """Replay a cache and keep where every track was.

    Raises:
        DataError: The folder is no cache, it is damaged, or a recording that it names is gone or has changed.
    """
    recorder, boxes = EmbeddingRecorder(), TrackBoxes()
    replay = Replay(cache, config, observers=[recorder, boxes])
    check_sources(replay.manifest, replay.config, "nothing can be learnt from pictures. Leave out --fine-tune")
    return walked_by(replay, recorder), boxes


def read_pictures(
    walked: list[tuple[Walked, TrackBoxes]], size: tuple[int, int], tick: Callable[[], None] | None = None
) -> SitePictures:
    """Cut the tracks out of their recordings.

    Args:
        walked: Of one site.
        size: Height and width of a picture.
        tick: Called after every camera.

    Raises:
        DataError: Most pictures are not where the cache says.
        SourceError: A recording cannot be read.
    """
    pictures: list[Image] = []
    owner: list[tuple[int, TrackKey]] = []
    times: list[float] = []
    quality: list[float] = []
    wanted = 0
    for number, (item, boxes) in enumerate(walked):
        for camera in item.replay.config.cameras:
            asked = _asked(camera.name, boxes)
            wanted += sum(map(len, asked.values()))
            for time, rows, crops in _cut(camera, asked, size):
                pictures += list(crops)
                owner += [(number, asked[time][row][0]) for row in rows]
                quality += [asked[time][row][1].quality for row in rows]
                times += [time] * len(rows)
            if tick:
                tick()
    if not wanted:
        raise DataError(
            "nobody was described twice in these caches, so there is nothing to learn from; record with an engine "
            "(`streamreid run --engine auto --cache ...`)"
        )
    if len(pictures) < _LEAST * wanted:
        raise DataError(
            f"{len(pictures)} of {wanted} pictures of people were found in the recordings that the cache names: they "
            "are not those that it was made of; put these back, or store the run again with --cache"
        )
    return SitePictures(np.stack(pictures), owner, times, quality, [w.recorder.spans for w, _ in walked])


Asked = dict[float, list[tuple[TrackKey, _Box]]]


def _asked(camera: str, boxes: TrackBoxes) -> Asked:
    """What is to be cut out, by the time of the frame."""
    found: Asked = defaultdict(list)
    for key, kept in sorted(boxes.boxes.items()):
        if key[0] == camera and len(kept) > 1:
            chosen = np.unique(np.linspace(0, len(kept) - 1, min(PICTURES, len(kept))).round().astype(int))
            for one in chosen.tolist():
                found[round(kept[one].time, 3)].append((key, kept[one]))
    return found


def _cut(camera: CameraConfig, asked: Asked, size: tuple[int, int]) -> list[tuple[float, list[int], Image]]:
    if not asked:
        return []
    found = []
    with open_source(camera) as source:
        for frame in source:
            time = round(frame.time, 3)
            if time > max(asked):
                break
            if time in asked:
                people = Detections.from_arrays(np.stack([b.box for _, b in asked[time]]))
                crops, plan = crop_batch([frame], [people], size)
                found.append((time, plan.rows.tolist(), crops))
    return found
