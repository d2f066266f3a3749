"""Part scores from keypoints: confidence fields of BPBReID's files, or poses found by an Ultralytics model.

Both give the 36 channels of `FIELD_NAMES`, 17 keypoints and 19 limbs; a part is the maximum over its channels, a pixel
is background where no part reaches one half.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from streamreid.datasets.labels import LABEL_SIZE, ParserError
from streamreid.datasets.part_grouping import FIELD_NAMES, GROUPINGS, LIMBS, PartGrouping
from streamreid.errors import DataError, MissingExtraError, WeightsError
from streamreid.types import FloatArray, Image

__all__ = ["FieldReader", "PoseParser", "fields_of_pose", "scores_of_fields"]

_SUFFIXES = (".npy", "{ending}.npy", "{ending}.confidence_fields.npy")


class FieldReader:
    """Reads the label files of BPBReID (``[36, h, w]`` float, one per picture; names as in its loaders).

    Args:
        folder: Where the files lie; subfolders are searched too.
        grouping: Parts to tell apart.

    Raises:
        DataError: The folder is missing or holds no such file.
    """

    def __init__(self, folder: str | Path, grouping: PartGrouping | None = None) -> None:
        self.grouping = grouping or GROUPINGS["five"]
        self._files = {p.name: p for p in Path(folder).rglob("*.npy")} if Path(folder).is_dir() else {}
        if not self._files:
            raise DataError(f"{folder}: no .npy files; expected BPBReID's confidence fields, one per picture")

    def __call__(self, image: Image, path: Path | None = None) -> FloatArray:
        """See `Parser`; the picture's name finds the file."""
        if path is None:
            raise DataError("confidence fields are found by the picture's name; none was given")
        names = [path.stem + s.format(ending=path.suffix) for s in _SUFFIXES]
        found = next((self._files[n] for n in names if n in self._files), None)
        if found is None:
            raise ParserError(f"no confidence fields (looked for {', '.join(names)})")
        try:
            fields = np.load(found, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ParserError(f"{found.name} cannot be read: {error}") from error
        if fields.ndim != 3 or len(fields) != len(FIELD_NAMES):
            raise ParserError(f"{found.name} is {fields.shape}, expected [36, h, w]")
        return scores_of_fields(np.asarray(fields, np.float32), self.grouping)


class PoseParser:
    """Parts around the pose that an Ultralytics model finds; of several people the one nearest the middle of the crop
    is taken.

    Args:
        model: A pose model of Ultralytics (``yolo11n-pose.pt`` or an export of it).
        grouping: Parts to tell apart.
        confidence: Keypoints below are not used.
        device: Passed to Ultralytics.

    Raises:
        MissingExtraError: Ultralytics is not installed.
        WeightsError: The file is missing or is no pose model.
    """

    def __init__(
        self,
        model: str | Path,
        grouping: PartGrouping | None = None,
        confidence: float = 0.3,
        device: str | None = None,
    ) -> None:
        try:
            from ultralytics import YOLO
        except ImportError as error:
            raise MissingExtraError("ultralytics", "ultralytics", "Part labels from poses") from error
        if not Path(model).exists():
            raise WeightsError(
                f"{model}: no such pose model; get one of Ultralytics' *-pose.pt files and give its path"
            )
        self.model = YOLO(str(model), task="pose")
        if self.model.task != "pose":
            raise WeightsError(
                f"{model}: a model for '{self.model.task}', expected a pose model such as yolo11n-pose.pt"
            )
        self.grouping, self._confidence, self._device = grouping or GROUPINGS["five"], confidence, device

    def __call__(self, image: Image, path: Path | None = None) -> FloatArray:
        """See `Parser`."""
        result: Any = self.model.predict(image, verbose=False, device=self._device)[0]
        if result.keypoints is None or not len(result.boxes):
            raise ParserError("no person was found")
        boxes = result.boxes.xywh.cpu().numpy()
        middle = np.array([image.shape[1], image.shape[0]]) / 2
        nearest = int(np.argmin(np.linalg.norm(boxes[:, :2] - middle, axis=1)))
        points = result.keypoints.data[nearest].cpu().numpy().astype(np.float32)
        return scores_of_fields(fields_of_pose(points, image.shape[:2], self._confidence), self.grouping)


def scores_of_fields(fields: FloatArray, grouping: PartGrouping) -> FloatArray:
    """Scores of background and parts from the 36 channels (BPBReID: background is what no part reaches one half of).

    Args:
        fields: ``[36, h, w]`` in [0, 1].
        grouping: Parts.

    Returns:
        ``[1 + parts, 64, 32]``; the background is 1 or 0, the parts as they are.
    """
    parts = np.clip(grouping.merge(fields, "fields"), 0, 1)
    parts = np.stack([cv2.resize(p, LABEL_SIZE[::-1], interpolation=cv2.INTER_LINEAR) for p in parts])
    background = (parts.max(0) < 0.5).astype(np.float32)
    return np.concatenate([background[None], parts * (1 - background)]).astype(np.float32)


def fields_of_pose(points: FloatArray, size: tuple[int, int], confidence: float = 0.3) -> FloatArray:
    """Draw a pose into the 36 channels, at ``LABEL_SIZE``.

    A channel falls off as a Gaussian of the distance d to the keypoint or limb, ``exp(-ln 2 (d / r)^2)``, so that it is
    one half at distance r: a fifteenth of the person's height for limbs, a tenth for the torso's flanks (which then
    meet), and a twelfth around the ankles, where only feet are left.

    Args:
        points: ``[17, 3]`` x, y, confidence in pixels of the crop.
        size: Height and width of the crop.
        confidence: Keypoints below are not drawn.

    Returns:
        ``[36, 64, 32]``.
    """
    known = points[:, 2] >= confidence
    fields = np.zeros((len(FIELD_NAMES), *LABEL_SIZE), np.float32)
    if known.sum() < 2:
        return fields
    height = max(float(np.ptp(points[known, 1])), 0.25 * size[0])
    y, x = np.indices(LABEL_SIZE).astype(np.float32)
    pixels: FloatArray = np.stack(
        [(x + 0.5) * size[1] / LABEL_SIZE[1], (y + 0.5) * size[0] / LABEL_SIZE[0]], -1
    ).astype(np.float32)
    for number, name in enumerate(FIELD_NAMES):
        ends = LIMBS[number - 17] if number >= 17 else (name, name)
        first, second = (FIELD_NAMES.index(e) for e in ends)
        if known[first] and known[second]:
            radius = height / (10 if _is_flank(ends) else 12 if number >= 15 and number < 17 else 15)
            distance = _to_segment(pixels, points[first, :2], points[second, :2])
            fields[number] = (
                np.exp(-np.log(2) * (distance / radius) ** 2) * np.sqrt(points[first, 2] * points[second, 2]) ** 0.5
            )
    return fields


def _is_flank(ends: tuple[str, str]) -> bool:
    kinds = {e.split("_")[-1] for e in ends}
    return kinds <= {"shoulder", "hip"} and ends[0] != ends[1]


def _to_segment(pixels: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Distance of every pixel to the line from a to b."""
    along = b - a
    length = float(along @ along)
    share = np.clip((pixels - a) @ along / length, 0, 1) if length > 0 else np.zeros(pixels.shape[:2], np.float32)
    return np.asarray(np.linalg.norm(pixels - a - share[..., None] * along, axis=-1), np.float32)
