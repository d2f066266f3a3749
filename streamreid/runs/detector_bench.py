"""Detectors on a site's own clips: how many of the people each finds, how many of its boxes are people, and what it
costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamreid.boxes import iou_matrix
from streamreid.config import CameraConfig, DetectorConfig
from streamreid.detection import Detector, open_detector
from streamreid.errors import DataError, SourceError
from streamreid.media import is_picture, is_video
from streamreid.mot_text import first_frame, read_numbers
from streamreid.sources import open_source
from streamreid.types import Detections, FloatArray, Frame

__all__ = [
    "Clip",
    "DetectorScore",
    "People",
    "best_choice",
    "judged",
    "measure",
    "people_of",
    "read_clips",
    "reference_people",
    "true_people",
]

_SAME = 0.5
"""IoU from which a box counts as a person's, as in PASCAL VOC and MOTChallenge."""

_SURE = 0.5
"""Score from which a box of a reference detector counts as a person."""

_UNSURE = 0.15
"""Score from which such a box is neither right nor wrong: there may be a person, or not."""

_VISIBLE = 0.1
"""Visibility from which ground truth asks for a person: of less than a tenth no detector makes a box."""

_LOWEST = 0.05
"""Least score that is asked of a detector: recall and precision are known from here on."""

_LEVEL = 0.02
"""F1 within which two detectors count as level: a hundred frames tell no less apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames of one clip.

    Args:
        name: The file's name without its ending.
        frames: In their order.
    """

    name: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Who is in a frame.

    Args:
        boxes: ``[N, 4]`` xyxy in pixels.
        unsure: ``[M, 4]`` where somebody may be: a box there is neither right nor wrong.
    """

    boxes: FloatArray
    unsure: FloatArray


@dataclass(frozen=True, slots=True)
class DetectorScore:
    """What a detector does on the clips.

    Args:
        detector: As it was asked for.
        name: Of its file.
        recall: Share of the people that it finds with a score of at least ``confidence``.
        precision: Share of these boxes that are people.
        confidence: The score at which F1 is highest.
        recall_at: Recall at the score from which the tracker counts somebody.
        precision_at: Precision there.
        milliseconds: Per frame, median.
        processor_milliseconds: Processor time of all threads per frame.
        people: How many there are in all frames.
        frames: How many frames.
    """

    detector: str
    name: str
    recall: float
    precision: float
    confidence: float
    recall_at: float
    precision_at: float
    milliseconds: float
    processor_milliseconds: float
    people: int
    frames: int

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision."""
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0


def read_clips(paths: Sequence[Path], *, every: float, most: int, fps: float | None = None) -> list[Clip]:
    """Frames of videos, folders of pictures, and folders of either.

    Args:
        paths: Files and folders.
        every: Seconds of capture time between two frames.
        most: Frames per clip.
        fps: Frames per second of clips without time stamps (folders of pictures).

    Raises:
        DataError: Nothing to look at there.
        SourceError: A clip cannot be read.
    """
    files = [file for path in paths for file in _clips_in(path)]
    clips = []
    for file in files:
        frames: list[Frame] = []
        with open_source(CameraConfig(name=file.stem, uri=str(file), fps=fps)) as source:
            for frame in source:
                if not frames or frame.time >= frames[-1].time + every - 1e-6:
                    frames.append(frame)
                if len(frames) >= most:
                    break
        clips.append(Clip(file.stem, tuple(frames)))
    if not any(clip.frames for clip in clips):
        raise DataError(f"{', '.join(map(str, paths))}: no frame in it; name videos, or folders of videos or pictures")
    return clips


def _clips_in(path: Path) -> list[Path]:
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder of clips")
    if path.is_file():
        return [path]
    inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    if any(is_picture(p) for p in inside):
        return [path]
    return [p for p in inside if is_video(p) or (p.is_dir() and any(map(is_picture, p.iterdir())))]


def true_people(clips: Sequence[Clip], folder: Path) -> dict[tuple[str, int], People]:
    """Who is in the frames by ground truth: ``folder``/<clip>.txt as MOT text. Rows with score 0 or a visibility below
    a tenth are neither right nor wrong.

    Raises:
        DataError: No file for a clip, or a malformed one.
    """
    found: dict[tuple[str, int], People] = {}
    for clip in clips:
        path = folder / f"{clip.name}.txt" if folder.is_dir() else folder
        if not path.is_file():
            raise DataError(f"{path}: no ground truth of clip '{clip.name}' there; it is MOT text, named as the clip")
        inside = people_of(path)
        nobody = np.zeros((0, 4), np.float32)
        for frame in clip.frames:
            found[clip.name, frame.index] = inside.get(frame.index, People(nobody, nobody))
    return found


def people_of(path: Path) -> dict[int, People]:
    """Who is in the frames (by their index, from 0) by ground truth as MOT text; see `true_people`.

    Raises:
        DataError: The file is malformed.
    """
    table = read_numbers(path)
    rows = np.nan_to_num(table.rows, nan=1.0)
    corners = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1).astype(np.float32)
    hidden = (rows[:, 8] >= 0) & (rows[:, 8] < _VISIBLE)  # -1 says nothing
    sure = (rows[:, 6] > 0) & ~hidden
    numbers = rows[:, 0] - first_frame(table)
    return {int(n): People(corners[(numbers == n) & sure], corners[(numbers == n) & ~sure]) for n in np.unique(numbers)}


def reference_people(clips: Sequence[Clip], reference: Detector) -> dict[tuple[str, int], People]:
    """Who is in the frames by a stronger detector: boxes that it is sure of; those that it is not sure of are neither
    right nor wrong."""
    found: dict[tuple[str, int], People] = {}
    for clip in clips:
        for frame in clip.frames:
            seen = reference([frame])[0]
            sure = seen.scores >= _SURE
            found[clip.name, frame.index] = People(seen.boxes[sure], seen.boxes[~sure & (seen.scores >= _UNSURE)])
    return found


def measure(
    config: DetectorConfig,
    clips: Sequence[Clip],
    people: Mapping[tuple[str, int], People],
    *,
    high_score: float,
    step: Callable[[], None] = lambda: None,
) -> DetectorScore:
    """Run a detector over the clips.

    Args:
        config: Which, and how.
        clips: The frames.
        people: Who is in them.
        high_score: ``tracker.high_score``.
        step: Called after each frame.
    """
    detector = open_detector(config.model_copy(update={"confidence": min(_LOWEST, config.confidence)}))
    found: list[tuple[Detections, People]] = []
    seconds: list[tuple[float, float]] = []
    for clip in clips:
        detector(clip.frames[:1])  # compiling is no part of a frame's time
        for frame in clip.frames:
            marks = time.perf_counter(), time.process_time()
            (seen,) = detector([frame])
            seconds.append((time.perf_counter() - marks[0], time.process_time() - marks[1]))
            found.append((seen, people[clip.name, frame.index]))
            step()
    scores, right = judged(found)
    total = sum(len(p.boxes) for _, p in found)
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    recall = hits / max(1, total)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best = int(f1.argmax()) if len(f1) else -1
    at = int(np.searchsorted(-scores, -high_score, side="right")) - 1
    wall, processor = np.array(seconds).T
    return DetectorScore(
        detector=config.model,
        name=detector.name,
        recall=float(recall[best]) if len(f1) else 0.0,
        precision=float(precision[best]) if len(f1) else 0.0,
        confidence=float(scores[best]) if len(f1) else 0.0,
        recall_at=float(recall[at]) if at >= 0 else 0.0,
        precision_at=float(precision[at]) if at >= 0 else 0.0,
        milliseconds=1000 * float(np.median(wall)),
        processor_milliseconds=1000 * float(processor.mean()),
        people=total,
        frames=len(found),
    )


def best_choice(scores: Sequence[DetectorScore]) -> DetectorScore:
    """The cheapest of those that are level with the best."""
    most = max(score.f1 for score in scores)
    return min((s for s in scores if s.f1 >= most - _LEVEL), key=lambda s: s.processor_milliseconds)


def judged(found: Sequence[tuple[Detections, People]], same: float = _SAME) -> tuple[FloatArray, FloatArray]:
    """Which boxes are people's: the best box takes its person.

    Args:
        found: Boxes, and who is there, of each frame.
        same: IoU from which a box is a person's.

    Returns:
        Scores ``[N]`` of all boxes that count, descending; ``[N]`` 1 for a person's, 0 for nobody's.
    """
    scores: list[float] = []
    right: list[bool] = []
    for seen, people in found:
        overlap = iou_matrix(seen.boxes, people.boxes.astype(np.float32))
        unsure = iou_matrix(seen.boxes, people.unsure.astype(np.float32)).max(axis=1, initial=0.0)
        for row in np.argsort(-seen.scores, kind="stable"):
            person = int(overlap[row].argmax()) if overlap.shape[1] else -1
            hit = person >= 0 and overlap[row, person] >= same
            if hit:
                overlap[:, person] = 0.0  # nobody is found twice
            elif unsure[row] >= _SAME:
                continue
            scores.append(float(seen.scores[row]))
            right.append(bool(hit))
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    return np.array(scores, np.float32)[order], np.array(right, np.float32)[order]
