"""Pictures at the end of a training: loss curves, part maps with visibilities, distances of same and different people. Faces are made unrecognisable."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from streamreid.errors import DataError, MissingExtraError
from streamreid.similarity import part_similarity
from streamreid.training.embed import embed, to_input
from streamreid.training.labels import PART_NAMES
from streamreid.training.network import PartNetwork
from streamreid.training.people import Picture
from streamreid.types import FloatArray, Image

__all__ = ["blur_faces", "draw_curves", "draw_distances", "draw_parts", "read_log", "write_report"]

_COLOURS = np.array([[60, 60, 230], [60, 200, 60], [230, 200, 40], [220, 90, 40], [200, 60, 200]], np.float32)  # BGR, one per part


def write_report(
    network: PartNetwork, pictures: Sequence[Picture], out: Path, *, size: tuple[int, int] = (256, 128), most: int = 200
) -> list[Path]:
    """Draw everything into ``OUT/report``.

    Args:
        network: The trained network.
        pictures: Of people held out of training; up to ``most`` are looked at.
        out: Folder of the training, which holds ``log.csv``.
        size: Height and width of the input.
        most: Pictures for the distances.

    Returns:
        The files written.
    """
    folder = out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    files = [draw_curves(read_log(out / "log.csv"), folder / "curves.png")]
    if pictures:
        chosen = [pictures[i] for i in np.unique(np.linspace(0, len(pictures) - 1, most).astype(int))]
        images = [np.asarray(cv2.imread(str(p.path)), np.uint8) for p in chosen]
        files.append(draw_parts(network, images[:: max(1, len(images) // 16)][:16], folder / "parts.png", size=size))
        similarity = part_similarity(*(2 * (embed(network, images, size),)))[0]
        people = np.array([(p.dataset, p.person, p.camera) for p in chosen])
        files.append(draw_distances(similarity, people, folder / "distances.png"))
    return files


def read_log(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every logged name.

    Raises:
        DataError: The file is missing.
    """
    if not path.is_file():
        raise DataError(f"{path}: no training log; run streamreid train first")
    found: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            steps, values = found[row["name"]]
            steps.append(int(row["step"]))
            values.append(float(row["value"]))
    return dict(found)


def draw_curves(log: dict[str, tuple[list[int], list[float]]], path: Path) -> Path:
    """Loss terms (running mean over 20 steps) and the scores on held-out people."""
    plt = _pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
    for name, (steps, values) in log.items():
        if name.endswith(("_map", "score")):
            right.plot(steps, values, marker="o", label=name)
        elif name not in ("seconds", "rate", "norm") and not name.endswith("_r1"):
            window = np.ones(min(20, len(values)))
            left.plot(steps, np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same"), label=name)
    left.set(title="losses", xlabel="step", yscale="log")
    right.set(title="mAP on held-out people", xlabel="step")
    for axis in (left, right):
        if axis.lines:
            axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def draw_distances(similarity: FloatArray, people: NDArray[np.int64], path: Path) -> Path:
    """Histogram of part similarities of same and of different people, across cameras only.

    Args:
        similarity: ``[N, N]``.
        people: ``[N, 3]`` dataset, person, camera.
        path: The picture to write.
    """
    plt = _pyplot()
    rows, columns = np.triu_indices(len(people), 1)
    across = (people[rows, 0] != people[columns, 0]) | (people[rows, 2] != people[columns, 2])
    rows, columns = rows[across], columns[across]
    same = (people[rows, :2] == people[columns, :2]).all(1)
    figure, axis = plt.subplots(figsize=(6, 4))
    bins = np.linspace(-0.2, 1, 61)
    for mask, name in ((same, "same person"), (~same, "different people")):
        if mask.any():
            axis.hist(similarity[rows[mask], columns[mask]], bins, density=True, alpha=0.6, label=name)
    axis.set(xlabel="part similarity", yticks=[], title="across cameras, people never trained on")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


@torch.no_grad()
def draw_parts(network: PartNetwork, images: Sequence[Image], path: Path, *, size: tuple[int, int] = (256, 128)) -> Path:
    """Crops (faces blurred) above their part maps, with the visibility of each part in per cent below."""
    network.eval()
    device = next(network.parameters()).device
    output = network(to_input(images, size).to(device))
    attention, visibility = output.attention.float().cpu().numpy(), output.visibility.float().cpu().numpy()
    tiles = [_tile(cv2.resize(image, size[::-1]), a, v) for image, a, v in zip(images, attention, visibility, strict=True)]
    if not cv2.imwrite(str(path), np.hstack(tiles)):
        raise DataError(f"{path}: cannot be written as a picture")
    return path


def blur_faces(image: Image, attention: FloatArray) -> Image:
    """Make everything unrecognisable but the body below the head: the upper fifth, the head, and whatever is not this person, such as somebody in front.

    Args:
        image: ``[H, W, 3]`` crop of one person.
        attention: ``[1 + parts, h, w]``, background first, then the head.
    """
    height, width = image.shape[:2]
    coarse = cv2.resize(cv2.resize(image, (max(2, width // 20), max(2, height // 20)), interpolation=cv2.INTER_AREA), (width, height))
    body = cv2.resize(attention[2:].sum(0).astype(np.float32), (width, height)) > 0.5
    body[: height // 5] = False
    return np.where(body[..., None], image, coarse).astype(np.uint8)


def _tile(image: Image, attention: FloatArray, visibility: FloatArray) -> Image:
    height, width = image.shape[:2]
    private = blur_faces(image, attention)
    maps = np.stack([cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in attention[1:]], -1)
    coloured = private * 0.35 + (maps @ _COLOURS) * 0.65
    text = np.full((14 * len(PART_NAMES) + 4, width, 3), 255, np.uint8)
    for line, (name, seen) in enumerate(zip(PART_NAMES, visibility[1:], strict=True)):
        colour = tuple(int(c) for c in _COLOURS[line] * 0.8)
        cv2.putText(text, f"{name} {seen:.0%}", (3, 13 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    return np.vstack([private, np.clip(coloured, 0, 255).astype(np.uint8), text])


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train", "Drawing the training report") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
