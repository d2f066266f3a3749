"""Detectors on frames whose people are known: how many they find, how exact their boxes are, and what they cost.

    python benchmarks/detectors.py SCENE [SCENE ...] --detector auto --detector yolo11n.onnx [--detector auto@640]

SCENE is a folder with ``cams.yaml`` and ``truth/<camera>.txt``, as `streamreid synth` writes it, or a folder of
MOTChallenge sequences (``*/img1`` and ``*/gt/gt.txt``). A detector is named as in ``detector.model``, with its size
behind an @, else the size is ``auto``. All frames up to the last one with ground truth are detected in their order, as
in a run.

``AP .5``, ``AP .7``: area below precision over recall, boxes of a person from that IoU; ``F1`` the best one, and the
score where it is; precision and recall of boxes with a score of .3 and .5 or more; milliseconds of processor time per
frame, the least of all rounds. Rows of ground truth with score 0 or a visibility below a tenth are neither right nor
wrong.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _results import add_json, save_asked

from streamreid.config import CameraConfig, DetectorConfig, load_config
from streamreid.detection import open_detector
from streamreid.runs.detector_bench import People, judged, people_of
from streamreid.sources import open_source
from streamreid.types import Detections, FloatArray, Frame

_LEAST = 0.05
"""Score from which boxes are asked for; a run asks from .1 on."""

_TOGETHER = 8
"""Frames of a batch, as in a run."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One camera's frames and who is in them, by index."""

    camera: CameraConfig
    people: dict[int, People]

    def batches(self) -> Iterator[list[Frame]]:
        """Frames up to the last one with ground truth."""
        last, batch = max(self.people), []
        with open_source(self.camera) as source:
            for frame in source:
                if frame.index > last:
                    break
                batch.append(frame)
                if len(batch) == _TOGETHER:
                    yield batch
                    batch = []
        if batch:
            yield batch


def clips_of(scene: Path) -> list[Clip]:
    """The cameras of a scene."""
    if (scene / "cams.yaml").is_file():
        cameras = load_config(scene / "cams.yaml").cameras
        return [Clip(c, people_of(scene / "truth" / f"{c.name}.txt")) for c in cameras]
    return [
        Clip(CameraConfig(name=folder.name, uri=str(folder / "img1")), people_of(folder / "gt" / "gt.txt"))
        for folder in sorted(scene.iterdir())
        if (folder / "img1").is_dir()
    ]


def detect(clips: list[Clip], name: str) -> tuple[list[tuple[Detections, People]], float]:
    """What a detector finds, and its milliseconds of processor time per frame."""
    model, _, size = name.partition("@")
    config = DetectorConfig(model=model, size=int(size) if size else "auto", confidence=_LEAST)
    nobody = People(*[np.zeros((0, 4), np.float32)] * 2)
    found: list[tuple[Detections, People]] = []
    seconds = 0.0
    for clip in clips:
        detector = open_detector(config)
        for number, batch in enumerate(clip.batches()):
            if not number:
                open_detector(config)(batch)  # compiling the first size is no part of a frame's time
            start = time.process_time()
            boxes = detector(batch)
            seconds += time.process_time() - start
            found += [(b, clip.people.get(f.index, nobody)) for b, f in zip(boxes, batch, strict=True)]
    return found, 1000 * seconds / len(found)


def average_precision(right: FloatArray, people: int) -> float:
    """Area below the curve of precision over recall, where precision never rises with recall (Everingham et al., The
    PASCAL VOC Challenge, IJCV 2010).

    Args:
        right: ``[N]`` 1 for a person's box, by falling score.
        people: How many there are.
    """
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float(np.sum(precision * right)) / people


def scored(found: list[tuple[Detections, People]]) -> dict[str, float]:
    """Figures of one detector on one scene."""
    people = sum(len(p.boxes) for _, p in found)
    scores, right = judged(found)
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(right) + 1), hits / people
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    result = {"AP .5": average_precision(right, people), "AP .7": average_precision(judged(found, 0.7)[1], people)}
    result |= {"F1": float(f1.max()), "at": float(scores[f1.argmax()])}
    for least in (0.3, 0.5):
        count = int(np.count_nonzero(scores >= least))
        result[f"precision {least:g}"] = float(precision[count - 1]) if count else 0.0
        result[f"recall {least:g}"] = float(recall[count - 1]) if count else 0.0
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="+")
    parser.add_argument("--detector", action="append", required=True, help="MODEL or MODEL@SIZE")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is timed, in turns")
    add_json(parser, "detectors")
    args = parser.parse_args()
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for scene in args.scene:
        clips = clips_of(scene)
        results: dict[str, dict[str, float]] = {}
        for _ in range(args.rounds):
            for name in args.detector:
                found, milliseconds = detect(clips, name)
                least = min(milliseconds, results.get(name, {}).get("ms", milliseconds))
                results[name] = scored(found) | {"ms": least}
        for name, result in results.items():
            model, _, size = name.partition("@")
            label = Path(model).stem + (f"@{size}" if size else "")
            figures.setdefault(scene.name, {})[label] = result
            print(f"{scene.name:12s} {label:14s}", "  ".join(f"{k} {v:.3f}" for k, v in result.items()), flush=True)
    save_asked(args, figures)


if __name__ == "__main__":
    main()
