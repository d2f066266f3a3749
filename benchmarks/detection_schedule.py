"""What ``detector.schedule: adaptive`` finds with which share of the detector's runs, against every frame: HOTA and
IDF1 of tracks, and of identities over all cameras.

    streamreid run --sources cams.yaml --cache cache
    python benchmarks/detection_schedule.py vtest=cache=truth [NAME=CACHE=TRUTH ...] [--delay 1] [--starts 4]

CACHE was stored with every frame detected, so both runs see the same boxes and features, and no detector is needed.
TRUTH is a folder with <camera>.txt, or the file of a single camera. The adaptive run gets the boxes of those frames
that the schedule asks for; people who are carried on have the features of the detections in their places. ``crops``
counts embedded people. With --starts 4 the recording also begins one, two and three frames later, which moves the
frames that are always detected; ``worst`` is what is lost most with any of these starts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _results import add_json, save_asked

from streamreid import Config, Replay
from streamreid.boxes import iou_matrix
from streamreid.cache.manifest import read_manifest
from streamreid.cache.reader import read_frames
from streamreid.cameras.detection_scheduler import LOOKAHEAD, DetectionScheduler
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.evaluation import Table, evaluate_mot, evaluate_multicam, read_mot
from streamreid.evaluation.table import one_of_each
from streamreid.replay.replay import replayed_config
from streamreid.types import Detections, EmbeddedFrame, Frame, PartFeatures

_SAME_IOU = 0.5
"""Overlap from which a box that was carried on shows the person of a detection."""


def scheduled(frames: Sequence[EmbeddedFrame], config: Config) -> list[EmbeddedFrame]:
    """The frames of a stored run as the adaptive schedule would have made them."""
    detections, people = DetectionScheduler(config.tracker.high_score), EmbeddingScheduler(config)
    stored = {(item.frame.camera, item.frame.index): item.detections for item in frames}
    found: dict[tuple[str, int], tuple[Detections, bool]] = {}

    def detect(some: Sequence[Frame]) -> list[Detections]:
        return [stored[f.camera, f.index] for f in some]

    for camera in {item.frame.camera for item in frames}:
        own = [item.frame for item in frames if item.frame.camera == camera]
        for start in range(0, len(own), LOOKAHEAD):
            part = own[start : start + LOOKAHEAD]
            boxes, looked = detections.find(part, detect)
            found |= {(camera, f.index): pair for f, *pair in zip(part, boxes, looked.tolist(), strict=True)}
    result = []
    for item in frames:
        boxes, detected = found[item.frame.camera, item.frame.index]
        due = people.due(item.frame.camera, boxes, item.frame.time, item.frame.size)
        features = item.features if detected else _of_the_same(boxes, item)
        embedded = people.record(item.frame.camera, due)
        result.append(replace(item, detections=boxes, features=features, embedded=embedded, detected=detected))
    return result


def _of_the_same(boxes: Detections, item: EmbeddedFrame) -> PartFeatures:
    """The features of people who were carried on: those of the detection in the same place, nothing where there is
    none."""
    features = PartFeatures.unseen(len(boxes), *item.features.shape)
    if len(boxes) and len(item.detections):
        overlap = iou_matrix(boxes.boxes, item.detections.boxes)
        one = (overlap.max(1) > _SAME_IOU).nonzero()[0]
        two = overlap[one].argmax(1)
        features.parts[one], features.visibility[one] = item.features.parts[two], item.features.visibility[two]
    return features


def follow(cache: Path, frames: Iterable[EmbeddedFrame], config: Config, truth: dict[str, Table], last: int) -> Any:
    """Scores of a replay with some frames."""
    rows: list[tuple[str, int, int, int, list[float]]] = []
    with Replay(cache, config, frames=frames) as replay:
        for result in replay:
            t = result.tracks
            sizes = np.concatenate([t.boxes[:, :2], t.boxes[:, 2:] - t.boxes[:, :2], t.scores[:, None]], 1).tolist()
            number = result.frame.index + 1
            if number <= last:
                rows += [(result.frame.camera, number, i, 0, b) for i, b in zip(t.ids.tolist(), sizes, strict=True)]
        who = replay.identities
        rows = [(c, n, i, who[c, i][0], b) for c, n, i, _, b in rows]

    def table(camera: str, column: int) -> Table:
        own = np.array([[r[1], r[column], *r[4]] for r in rows if r[0] == camera], np.float64).reshape(-1, 7)
        own = own[one_of_each(own[:, 0], own[:, 1], own[:, 6])]
        return Table.build(own[:, 0], own[:, 1], own[:, 2:6])

    tracks = evaluate_mot({c: table(c, 2) for c in truth}, truth).combined
    scores = {"HOTA": tracks.hota, "IDF1": tracks.idf1, "switches": tracks.idsw}
    if len(truth) > 1:
        across = evaluate_multicam({c: table(c, 3) for c in truth}, truth).combined
        scores |= {"across HOTA": across.hota, "across IDF1": across.idf1}
    return scores


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", nargs="+", help="NAME=CACHE=TRUTH")
    parser.add_argument("--delay", type=float, default=0.0, help="tracker.delay")
    parser.add_argument("--last", type=int, default=10**9, help="last frame that is scored")
    parser.add_argument("--starts", type=int, default=1, help="how many first frames are tried")
    add_json(parser, "detection_schedule")
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    for name, folder, answers in (text.split("=") for text in args.scene):
        cache, place = Path(folder), Path(answers)
        config = replayed_config(cache).with_settings({"tracker.delay": args.delay})
        files = {p.stem: p for p in sorted(place.glob("*.txt"))} if place.is_dir() else {}
        files = files or {next(iter(read_manifest(cache).cameras)): place}
        truth = {camera: read_mot(path) for camera, path in files.items()}
        last = min(args.last, max(int(t.frames.max()) for t in truth.values()))
        truth = {camera: t[t.frames <= last] for camera, t in truth.items()}
        stored = list(read_frames(cache))
        found: dict[str, list[dict[str, float]]] = {"every": [], "adaptive": []}
        for start in range(args.starts):
            later = [item for item in stored if item.frame.index >= start]
            for schedule, frames in (("every", later), ("adaptive", scheduled(later, config))):
                scores = follow(cache, frames, config, truth, last)
                scores["detected"] = sum(item.detected for item in frames) / len(frames)
                embedded = [item.embedded for item in frames if item.embedded is not None]
                scores["crops"] = sum(int(np.count_nonzero(rows)) for rows in embedded)
                found[schedule].append(scores)
        figures[name] = {schedule: scores[0] for schedule, scores in found.items()}
        figures[name]["worst"] = {
            key: min(b[key] - a[key] for a, b in zip(found["every"], found["adaptive"], strict=True))
            for key in found["every"][0]
            if key.endswith(("HOTA", "IDF1"))
        }
        for what, scores in figures[name].items():
            print(f"{name:10s} {what:9s}", "  ".join(f"{k} {v:.4g}" for k, v in scores.items()), flush=True)
    save_asked(args, figures)


if __name__ == "__main__":
    main()
