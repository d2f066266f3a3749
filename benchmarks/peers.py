"""Trackers on the same cached detections (and features), scored in the same way: HOTA, IDF1, switches, milliseconds per update.

    python benchmarks/peers.py VIDEO TRUTH --detector yolo11n.onnx [--engine BUNDLE] [--frames 400] [--add NAME=RESULTS.txt ...]

Detections are made once per detector, thresholds and engine, and kept in --cache. Peers run with their defaults; where they take a frame rate they
get the video's. A peer that is not installed is skipped with a line. Scores: TrackEval, IoU .5.
Peers: pip install trackers ultralytics
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.config import CameraConfig, DetectorConfig, EngineConfig, TrackerConfig
from streamreid.detection import open_detector
from streamreid.evaluation import Table, evaluate_mot, read_mot
from streamreid.similarity import Calibration
from streamreid.sources import open_source
from streamreid.tracking import Tracker
from streamreid.types import Detections, PartFeatures, Tracks

Rows = list[tuple[int, int, float, float, float, float]]


@dataclass
class Clip:
    """What every tracker gets.

    Args:
        times: Capture time per frame.
        detections: People per frame.
        features: Their looks per frame, or None without an engine.
        size: Width and height of the pictures.
        calibration: Of the engine.
    """

    times: list[float]
    detections: list[Detections]
    features: list[PartFeatures] | None
    size: tuple[int, int]
    calibration: Calibration | None = None

    @property
    def rate(self) -> float:
        """Frames per second."""
        return 1.0 / float(np.median(np.diff(self.times))) if len(self.times) > 1 else 30.0


@dataclass
class Result:
    """Rows (frame from 1, id, left, top, width, height) and the seconds that the updates took."""

    rows: Rows
    seconds: float

    def table(self) -> Table:
        """For scoring."""
        data = np.array(self.rows, np.float64).reshape(-1, 6)
        return Table.build(data[:, 0], data[:, 1], data[:, 2:6])


Runner = Callable[[Clip], Result]


def run_updates(clip: Clip, update: Callable[[int], Iterator[tuple[int, Any]]]) -> Result:
    """Call ``update(number of the frame)`` for every frame; it yields (id, xyxy)."""
    rows: Rows = []
    seconds = 0.0
    for number in range(len(clip.times)):
        start = time.perf_counter()
        people = list(update(number))
        seconds += time.perf_counter() - start
        rows += [(number + 1, int(who), float(a), float(b), float(c - a), float(d - b)) for who, (a, b, c, d) in people]
    return Result(rows, seconds)


def ours(with_looks: bool) -> Runner:
    """This project's tracker with its defaults."""

    def run(clip: Clip) -> Result:
        if with_looks and clip.features is None:
            raise LookupError("no --engine was given")
        tracker = Tracker(TrackerConfig(), clip.calibration)

        def update(number: int) -> Iterator[tuple[int, Any]]:
            looks = clip.features[number] if with_looks and clip.features is not None else None
            tracks: Tracks = tracker.update(clip.detections[number], looks, clip.times[number], size=clip.size)
            yield from zip(tracks.ids, tracks.boxes, strict=True)

        return run_updates(clip, update)

    return run


def roboflow(name: str) -> Runner:
    """A tracker of the package ``trackers`` with its defaults and the video's frame rate."""

    def run(clip: Clip) -> Result:
        tracker = getattr(importlib.import_module("trackers"), name)(frame_rate=clip.rate)

        def update(number: int) -> Iterator[tuple[int, Any]]:
            found = tracker.update(clip.detections[number].to_supervision())
            yield from ((who, box) for who, box in zip(found.tracker_id, found.xyxy, strict=True) if who >= 0)

        return run_updates(clip, update)

    return run


def ultralytics_bytetrack(clip: Clip) -> Result:
    """Ultralytics' BYTETracker with the settings of its bytetrack.yaml."""
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.byte_tracker import BYTETracker
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    tracker = BYTETracker(IterableSimpleNamespace(**YAML.load(check_yaml("bytetrack.yaml"))))

    def update(number: int) -> Iterator[tuple[int, Any]]:
        d = clip.detections[number]
        table = np.concatenate([d.boxes, d.scores[:, None], d.classes[:, None].astype(np.float32)], axis=1)
        yield from ((int(row[4]), row[:4]) for row in tracker.update(Boxes(table, clip.size[::-1])))

    return run_updates(clip, update)


TRACKERS: dict[str, Runner] = {
    "streamreid": ours(with_looks=True),
    "streamreid, no ReID": ours(with_looks=False),
    "Roboflow ByteTrack": roboflow("ByteTrackTracker"),
    "Roboflow OC-SORT": roboflow("OCSORTTracker"),
    "Roboflow C-BIoU": roboflow("CBIoUTracker"),
    "Ultralytics ByteTrack": ultralytics_bytetrack,
}


def make_clip(video: Path, count: int, detector: DetectorConfig, engine: str | None, cache: Path) -> Clip:
    """Detect (and describe) the people of a video, or read them from the cache."""
    find = open_detector(detector)
    embed: Any = None
    if engine is not None:
        embed = importlib.import_module("streamreid.reid").open_embedder(EngineConfig(model=engine))
    key = f"{video.stat().st_size} {video.name} {count} {find.fingerprint} {detector!r} {engine} {getattr(embed, 'fingerprint', '')}"
    file = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with open_source(CameraConfig(name="clip", uri=str(video), frames=count)) as source:
            write_cache(file, source, find, embed)
    return read_cache(file, getattr(embed, "calibration", None))


def write_cache(file: Path, source: Any, find: Any, embed: Any) -> None:
    """Run the models over all frames."""
    times, sizes, boxes, scores, parts, visibility = [], [], [], [], [], []
    counts = []
    for frame in source:
        found = find([frame])[0]
        times.append(frame.time)
        sizes.append(frame.size)
        counts.append(len(found))
        boxes.append(found.boxes)
        scores.append(found.scores)
        if embed is not None:
            looks = embed([frame], [found])[0]
            parts.append(looks.parts)
            visibility.append(looks.visibility)
    arrays = {"times": np.array(times), "size": np.array(sizes[0]), "counts": np.array(counts)}
    arrays |= {"boxes": np.concatenate(boxes), "scores": np.concatenate(scores)}
    if embed is not None:
        arrays |= {"parts": np.concatenate([p for p in parts if len(p)]), "visibility": np.concatenate([v for v in visibility if len(v)])}
    np.savez(file, **arrays)  # type: ignore[arg-type]


def read_cache(file: Path, calibration: Calibration | None) -> Clip:
    """The clip that ``write_cache`` stored."""
    with np.load(file) as data:
        arrays = {name: data[name] for name in data.files}
    edges = np.cumsum(arrays["counts"])[:-1]
    boxes, scores = np.split(arrays["boxes"], edges), np.split(arrays["scores"], edges)
    features = None
    if "parts" in arrays:
        pairs = zip(np.split(arrays["parts"], edges), np.split(arrays["visibility"], edges), strict=True)
        features = [PartFeatures(p, v) for p, v in pairs]
    detections = [Detections.from_arrays(b, s) for b, s in zip(boxes, scores, strict=True)]
    width, height = arrays["size"].tolist()
    return Clip(arrays["times"].tolist(), detections, features, (width, height), calibration)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("truth", type=Path, help="MOT text")
    parser.add_argument("--detector", required=True, help="an .onnx file, a name, or mot:FILE.txt")
    parser.add_argument("--engine", help="engine bundle or name; without it only motion is compared")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--iou", type=float, default=0.6, help="NMS")
    parser.add_argument("--confidence", type=float, default=0.1)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--rules", default="mot15", help="mot15 as TrackEval; plain leaves results on ground truth rows with score 0 uncounted")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "streamreid-benchmarks")
    parser.add_argument("--only", nargs="*", help="names of trackers")
    parser.add_argument("--add", nargs="*", default=[], metavar="NAME=FILE", help="score MOT text made elsewhere beside the others")
    args = parser.parse_args()
    detector = DetectorConfig(model=args.detector, iou=args.iou, confidence=args.confidence, size=args.size)
    clip = make_clip(args.video, args.frames, detector, args.engine, args.cache)
    truth, span = read_mot(args.truth), (1, len(clip.times))
    boxes = sum(map(len, clip.detections))
    print(
        f"{args.video.name}, frames {span[0]}-{span[1]}, {Path(args.detector).name}: {boxes} boxes (score >= {args.confidence}, NMS IoU {args.iou})"
    )
    print(f"{'':26s}  HOTA   DetA   AssA   IDF1   MOTA  IDSW  ms/update")

    def show(name: str, table: Table, milliseconds: float | None) -> None:
        s = evaluate_mot(table, truth, frames=span, rules=args.rules).combined
        cost = "" if milliseconds is None else f"{milliseconds:9.2f}"
        print(f"{name:26s} {s.hota:6.4f} {s.deta:6.4f} {s.assa:6.4f} {s.idf1:6.4f} {s.mota:6.4f} {s.idsw:5d}  {cost}", flush=True)

    for name, run in TRACKERS.items():
        if args.only is not None and name not in args.only:
            continue
        try:
            result = run(clip)
        except (ImportError, LookupError) as error:
            print(f"{name:26s} skipped: {error}")
            continue
        show(name, result.table(), 1000 * result.seconds / len(clip.times))
    for item in args.add:
        name, _, file = item.partition("=")
        show(name, read_mot(file).between(*span), None)


if __name__ == "__main__":
    main()
