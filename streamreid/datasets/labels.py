"""Part labels for training: a body-part model looks at every person image and writes one small class map per image.

A class map is an 8-bit PNG of ``LABEL_SIZE``: 0 background, then one number per part. ``parts.json`` beside the maps
names the parts. By default left and right are merged, because BodyPix confuses them (mirror agreement IoU .3 to .5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.part_grouping import GROUPINGS, PartGrouping, read_parts, write_parts
from streamreid.errors import DataError, StreamReIDError
from streamreid.files import atomic_write
from streamreid.types import FloatArray, Image

__all__ = [
    "LABEL_SIZE",
    "LabelReport",
    "Parser",
    "ParserError",
    "class_map",
    "contact_sheet",
    "label_path",
    "read_label",
    "unusable",
    "write_labels",
]

LABEL_SIZE = (64, 32)  # height, width: four times the 16 x 8 map of the networks, fine enough to cut people out


class ParserError(StreamReIDError):
    """A parser found nothing in one picture; the picture is left out, with this reason."""


class Parser(Protocol):
    """Finds body parts in a person crop."""

    grouping: PartGrouping

    def __call__(self, image: Image, path: Path | None = None) -> FloatArray:
        """Scores of background and parts.

        Args:
            image: ``[H, W, 3]`` uint8 BGR crop of one person.
            path: Its file.

        Returns:
            ``[1 + parts, 64, 32]`` float32 in [0, 1], background first.

        Raises:
            ParserError: Nothing can be said about this picture.
        """
        ...


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


def unusable(label: NDArray[np.uint8], grouping: PartGrouping = GROUPINGS["five"]) -> str | None:
    """Why a class map is implausible for a crop of one standing person, or None."""
    share = float((label > 0).mean())
    if share < 0.10:
        return f"only {share:.0%} of the crop is a person"
    if share > 0.85:
        return f"{share:.0%} of the crop is a person"
    seen = {n for c, n in enumerate(grouping.names, 1) if (label == c).mean() > 0.005}
    for needed in (grouping.upper, grouping.lower):
        if needed and not seen & set(needed):
            return f"no {' or '.join(needed)} (found {', '.join(sorted(seen)) or 'nothing'})"
    if not (grouping.upper and grouping.lower):
        return None
    upper, lower = _row(label, grouping, grouping.upper), _row(label, grouping, grouping.lower)
    return f"{' or '.join(grouping.lower)} above {' or '.join(grouping.upper)}" if lower <= upper else None


def _row(label: NDArray[np.uint8], grouping: PartGrouping, parts: tuple[str, ...]) -> float:
    """Mean row of some parts."""
    mask = np.isin(label, [1 + grouping.names.index(p) for p in parts])
    return float(np.nonzero(mask)[0].mean())


def write_labels(
    images: Iterable[Path],
    out: Path,
    model: Parser,
    *,
    report: LabelReport | None = None,
    tick: Callable[[], None] | None = None,
) -> LabelReport:
    """Write one class map per image; images that have one already are skipped, so an interrupted run goes on.

    Args:
        images: Person crops.
        out: Folder of the class maps.
        model: Finds the parts.
        report: Report to add to.
        tick: Called after every image (progress bar).

    Returns:
        Counts, and the images left out with their reasons. A left-out image is remembered by an empty file
        ``NAME.skip`` holding the reason.

    Raises:
        DataError: There is no image at all, or ``out`` holds class maps of other parts.
    """
    report = report or LabelReport()
    out.mkdir(parents=True, exist_ok=True)
    write_parts(out, model.grouping.names)
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


def read_label(path: Path, parts: int = 5) -> NDArray[np.uint8]:
    """Read a class map of so many parts.

    Raises:
        DataError: The file is not a class map of this layout.
    """
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if label is None or label.ndim != 2 or label.max() > parts:
        raise DataError(
            f"{path}: not a class map (8-bit grey PNG with values 0 to {parts}); delete it and run parse-labels again"
        )
    if label.shape != LABEL_SIZE:
        raise DataError(
            f"{path}: a class map of {label.shape[1]}x{label.shape[0]}, expected {LABEL_SIZE[1]}x{LABEL_SIZE[0]}; "
            "delete it and run parse-labels again"
        )
    return np.asarray(label, np.uint8)


def contact_sheet(images: Sequence[Path], labels: Path, out: Path, columns: int = 20, rows: int = 6) -> None:
    """Draw pictures, evenly spread over the folder, above their class maps, to look at."""
    parts = len(read_parts(labels))
    chosen = [p for p in images if label_path(labels, p).exists()]
    chosen = chosen[:: max(1, len(chosen) // (columns * rows))][: columns * rows]
    tiles = []
    for path in chosen:
        picture, label = cv2.imread(str(path)), read_label(label_path(labels, path), parts)
        if picture is not None:
            colours = cv2.applyColorMap((label.astype(np.int32) * 255 // parts).astype(np.uint8), cv2.COLORMAP_JET)
            tiles.append(
                np.vstack(
                    [cv2.resize(picture, (64, 128)), cv2.resize(colours, (64, 128), interpolation=cv2.INTER_NEAREST)]
                )
            )
    if not tiles:
        raise DataError(f"{labels}: holds no class map of these pictures; nothing to draw")
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    if not cv2.imwrite(str(out), np.vstack(lines)):
        raise DataError(f"{out}: cannot be written as a picture")


def _write_one(path: Path, target: Path, skip: Path, model: Parser, report: LabelReport) -> None:
    image = cv2.imread(str(path))
    if image is None:
        report.left_out[path.name] = "unreadable image"
        return
    try:
        label = class_map(model(np.asarray(image, np.uint8), path))
        reason = unusable(label, model.grouping)
    except ParserError as error:
        label, reason = np.zeros(LABEL_SIZE, np.uint8), str(error)
    if reason:
        skip.write_text(reason)
        report.left_out[path.name] = reason
        return
    with atomic_write(target, part=target.with_suffix(".part.png")) as part:
        cv2.imwrite(str(part), label)
    report.written += 1
