"""Trackers of other packages behind one call, for ``tracking.py``: ``build(clip)`` gives ``step(number of the frame) ->
[(id, xyxy)]``.

Peers run with their own defaults. Where one takes a frame rate it gets the clip's; where one takes features it gets
those that every tracker gets; where one takes the picture it gets it. Raises ImportError where the package is missing
and LookupError where the clip lacks something.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["PEERS"]

Step = Callable[[int], Iterator[tuple[int, Any]]]


def roboflow(name: str) -> Callable[[Any], Step]:
    """A tracker of the package ``trackers``, told the frame rate."""

    def build(clip: Any) -> Step:
        tracker = getattr(importlib.import_module("trackers"), name)(frame_rate=clip.rate)

        def step(number: int) -> Iterator[tuple[int, Any]]:
            found = tracker.update(clip.detections[number].to_supervision())
            yield from ((who, box) for who, box in zip(found.tracker_id, found.xyxy, strict=True) if who >= 0)

        return step

    return build


def ultralytics(module: str, name: str, settings: str, *, looks: bool = False) -> Callable[[Any], Step]:
    """A tracker of Ultralytics with the settings of its YAML, with the picture if there is one, and with features if
    ``looks``."""

    def build(clip: Any) -> Step:
        from ultralytics.engine.results import Boxes
        from ultralytics.utils import YAML, IterableSimpleNamespace
        from ultralytics.utils.checks import check_yaml

        if looks and clip.features is None:
            raise LookupError("no --engine was given")
        options = YAML.load(check_yaml(settings)) | ({"with_reid": True, "model": "auto"} if looks else {})
        tracker = getattr(importlib.import_module(f"ultralytics.trackers.{module}"), name)(
            IterableSimpleNamespace(**options)
        )

        def step(number: int) -> Iterator[tuple[int, Any]]:
            d = clip.detections[number]
            table = np.concatenate([d.boxes, d.scores[:, None], d.classes[:, None].astype(np.float32)], axis=1)
            extra = {"feats": importlib.import_module("torch").from_numpy(clip.flat(number))} if looks else {}
            rows = tracker.update(Boxes(table, clip.size[::-1]), clip.image(number), **extra)
            yield from ((int(row[4]), row[:4]) for row in rows)

        return step

    return build


def boxmot(name: str) -> Callable[[Any], Step]:
    """A tracker of BoxMOT with the defaults of its YAML, fed with the same features."""

    def build(clip: Any) -> Step:
        with contextlib.redirect_stderr(io.StringIO()):
            factory = importlib.import_module("boxmot.trackers.factory")
            specs = importlib.import_module("boxmot.trackers.specs")
            values = importlib.import_module("boxmot.structures")
            torch = importlib.import_module("torch")
            tracker = factory.create_tracker(specs.TrackerSpec(name=name))
        if clip.features is None:
            raise LookupError("no --engine was given")
        if clip.image(0) is None:
            raise LookupError("it needs pictures")

        def step(number: int) -> Iterator[tuple[int, Any]]:
            d = clip.detections[number]
            people = values.Detections(
                geometry=values.Boxes(torch.from_numpy(d.boxes)),
                scores=torch.from_numpy(d.scores),
                class_ids=torch.from_numpy(d.classes),
                sample_id=str(number),
                embeddings=torch.from_numpy(clip.flat(number)),
            )
            found = tracker.update(people, clip.image(number))
            yield from zip(found.track_ids.tolist(), found.geometry.values.numpy(), strict=True)

        return step

    return build


PEERS: dict[str, Callable[[Any], Step]] = {
    "Roboflow ByteTrack": roboflow("ByteTrackTracker"),
    "Roboflow OC-SORT": roboflow("OCSORTTracker"),
    "Roboflow BoT-SORT": roboflow("BoTSORTTracker"),
    "Roboflow C-BIoU": roboflow("CBIoUTracker"),
    "Ultralytics ByteTrack": ultralytics("byte_tracker", "BYTETracker", "bytetrack.yaml"),
    "Ultralytics BoT-SORT": ultralytics("bot_sort", "BOTSORT", "botsort.yaml"),
    "Ultralytics BoT-SORT + ReID": ultralytics("bot_sort", "BOTSORT", "botsort.yaml", looks=True),
    "Ultralytics TrackTrack + ReID": ultralytics("track_tracker", "TRACKTRACK", "tracktrack.yaml", looks=True),
    "BoxMOT StrongSORT": boxmot("strongsort"),
    "BoxMOT OccluBoost": boxmot("occluboost"),
    "BoxMOT HybridSORT": boxmot("hybridsort"),
}
