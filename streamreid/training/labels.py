"""Part labels for training: a body-part model looks at every person image and writes one small class map per image.

A class map is an 8-bit PNG of ``LABEL_SIZE``: 0 background, then one number per part of ``PART_NAMES``. Left and right are merged, because
the parser confuses them (mirror agreement IoU .3 to .5), and the scores of the image and of its mirror image are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.errors import DataError, MissingExtraError, WeightsError
from streamreid.types import FloatArray, Image

__all__ = [
    "BODYPIX_GROUPS",
    "LABEL_SIZE",
    "PART_NAMES",
    "BodyPix",
    "LabelReport",
    "class_map",
    "contact_sheet",
    "label_path",
    "read_label",
    "unusable",
    "write_labels",
]

PART_NAMES = ("head", "torso", "arms", "legs", "feet")
BODYPIX_GROUPS: dict[str, tuple[int, ...]] = {
    "head": (0, 1),
    "torso": (12, 13),
    "arms": (2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    "legs": (14, 15, 16, 17, 18, 19, 20, 21),
    "feet": (22, 23),
}
LABEL_SIZE = (64, 32)  # height, width: four times the 16 x 8 map of the networks, fine enough to cut people out

_INPUT = (257, 177)


class BodyPix:
    """The BodyPix network (MobileNetV1 0.50, stride 16; Apache-2.0) on person crops.

    Args:
        model: Path of ``bodypix_mobilenetv1_050_stride16.onnx``.
        threads: CPU threads.

    Raises:
        WeightsError: The file is missing or is not this network.
    """

    def __init__(self, model: str | Path, threads: int = 1) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "train", "Making part labels") from error
        if not Path(model).is_file():
            raise WeightsError(f"{model}: the BodyPix network is missing; get bodypix_mobilenetv1_050_stride16.onnx and give its path")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        outputs = {o.name for o in self._session.get_outputs()}
        if not {"segments", "part_heatmaps"} <= outputs:
            raise WeightsError(f"{model}: expected the outputs 'segments' and 'part_heatmaps', found {', '.join(sorted(outputs))}")

    def __call__(self, image: Image) -> FloatArray:
        """Scores of background and parts.

        Args:
            image: ``[H, W, 3]`` uint8 BGR crop of one person.

        Returns:
            ``[1 + parts, 64, 32]`` float32, summing to 1 at every pixel.
        """
        mirrored = self._one(np.ascontiguousarray(image[:, ::-1]))[:, :, ::-1]
        return np.asarray((self._one(image) + mirrored) / 2, np.float32)

    def _one(self, image: Image) -> FloatArray:
        height, width = image.shape[:2]
        pad = max(0, round((height * 2 / 3 - width) / 2))
        padded = cv2.copyMakeBorder(image, 0, 0, pad, pad, cv2.BORDER_REPLICATE)
        blob = cv2.resize(padded, _INPUT[::-1], interpolation=cv2.INTER_LINEAR)[:, :, ::-1].astype(np.float32) / 127.5 - 1
        segments, parts = self._session.run(["segments", "part_heatmaps"], {self._input: blob[None]})
        foreground = _sigmoid(np.asarray(segments)).reshape(np.asarray(segments).shape[1:3])
        heat = _sigmoid(np.asarray(parts)[0])
        if heat.shape[-1] != 24:
            heat = np.moveaxis(heat, 0, -1)
        groups = np.stack([heat[..., list(c)].max(-1) for c in BODYPIX_GROUPS.values()], -1)
        groups *= (foreground / np.maximum(groups.sum(-1), 1e-6))[..., None]
        scores = np.concatenate([1 - foreground[..., None], groups], -1)
        full = cv2.resize(scores, (padded.shape[1], padded.shape[0]), interpolation=cv2.INTER_LINEAR)[:, pad : pad + width]
        method = cv2.INTER_AREA if height > LABEL_SIZE[0] else cv2.INTER_LINEAR
        return np.stack([cv2.resize(full[..., c], LABEL_SIZE[::-1], interpolation=method) for c in range(full.shape[-1])]).astype(
            np.float32
        )


@dataclass
class LabelReport:
    """What became of each image: written, kept from an earlier run, left out (with the reason), or unreadable."""

    written: int = 0
    kept: int = 0
    left_out: dict[str, str] = field(default_factory=dict)


def label_path(folder: Path, image: Path) -> Path:
    """Where the class map of ``image`` lies: same name, ``.png``."""
    return folder / f"{image.stem}.png"


def class_map(scores: FloatArray) -> NDArray[np.uint8]:
    """Class of every pixel: background where it holds more than half, else the strongest part.

    Args:
        scores: ``[1 + parts, H, W]`` scores that sum to 1 at every pixel, background first.
    """
    return np.where(scores[0] > 0.5, 0, 1 + np.argmax(scores[1:], axis=0)).astype(np.uint8)


def unusable(label: NDArray[np.uint8]) -> str | None:
    """Why a class map is implausible for a crop of one standing person, or None."""
    share = float((label > 0).mean())
    if share < 0.10:
        return f"only {share:.0%} of the crop is a person"
    if share > 0.85:
        return f"{share:.0%} of the crop is a person"
    seen = {PART_NAMES[c - 1] for c in np.unique(label) if c and (label == c).mean() > 0.005}
    if not {"torso", "legs"} <= seen:
        return f"no torso or no legs (found {', '.join(sorted(seen)) or 'nothing'})"
    rows = np.arange(label.shape[0])[:, None]
    torso, legs = (float((rows * (label == c)).sum() / (label == c).sum()) for c in (2, 4))
    return "legs above the torso" if legs <= torso else None


def write_labels(
    images: Iterable[Path], out: Path, model: BodyPix, *, report: LabelReport | None = None, tick: Callable[[], None] | None = None
) -> LabelReport:
    """Write one class map per image; images that have one already are skipped, so an interrupted run goes on.

    Args:
        images: Person crops.
        out: Folder of the class maps.
        model: The body-part model.
        report: Report to add to.
        tick: Called after every image (progress bar).

    Returns:
        Counts, and the images left out with their reasons. A left-out image is remembered by an empty file ``NAME.skip`` holding the reason.

    Raises:
        DataError: There is no image at all.
    """
    report = report or LabelReport()
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for path in images:
        count += 1
        target, skip = label_path(out, path), label_path(out, path).with_suffix(".skip")
        if target.exists():
            report.kept += 1
        elif skip.exists():
            report.left_out[path.name] = skip.read_text()
        else:
            _write_one(path, target, skip, model, report)
        if tick:
            tick()
    if not count:
        raise DataError(f"no images to label for {out}; expected .jpg, .png or .tif files")
    return report


def read_label(path: Path) -> NDArray[np.uint8]:
    """Read a class map.

    Raises:
        DataError: The file is not a class map of this layout.
    """
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if label is None or label.ndim != 2 or label.max() > len(PART_NAMES):
        raise DataError(
            f"{path}: not a class map (8-bit grey PNG with values 0 to {len(PART_NAMES)}); delete it and run parse-labels again"
        )
    if label.shape != LABEL_SIZE:
        raise DataError(
            f"{path}: a class map of {label.shape[1]}x{label.shape[0]}, expected {LABEL_SIZE[1]}x{LABEL_SIZE[0]}; delete it and run parse-labels again"
        )
    return np.asarray(label, np.uint8)


def contact_sheet(images: Sequence[Path], labels: Path, out: Path, columns: int = 20, rows: int = 6) -> None:
    """Draw pictures, evenly spread over the folder, above their class maps, to look at."""
    chosen = [p for p in images if label_path(labels, p).exists()]
    chosen = chosen[:: max(1, len(chosen) // (columns * rows))][: columns * rows]
    tiles = []
    for path in chosen:
        picture, label = cv2.imread(str(path)), read_label(label_path(labels, path))
        if picture is not None:
            colours = cv2.applyColorMap((label * (255 // len(PART_NAMES))).astype(np.uint8), cv2.COLORMAP_JET)
            tiles.append(np.vstack([cv2.resize(picture, (64, 128)), cv2.resize(colours, (64, 128), interpolation=cv2.INTER_NEAREST)]))
    if not tiles:
        raise DataError(f"{labels}: holds no class map of these pictures; nothing to draw")
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    if not cv2.imwrite(str(out), np.vstack(lines)):
        raise DataError(f"{out}: cannot be written as a picture")


def _write_one(path: Path, target: Path, skip: Path, model: BodyPix, report: LabelReport) -> None:
    image = cv2.imread(str(path))
    if image is None:
        report.left_out[path.name] = "unreadable image"
        return
    label = class_map(model(image))
    reason = unusable(label)
    if reason:
        skip.write_text(reason)
        report.left_out[path.name] = reason
        return
    temporary = target.with_suffix(".part.png")
    cv2.imwrite(str(temporary), label)
    temporary.replace(target)
    report.written += 1


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)
