"""The report at the end of a training: loss curves, distances of same and different people, part maps, ranked lists.
Faces are made unrecognisable."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.identity_split import Picture
from streamreid.errors import DataError, MissingExtraError
from streamreid.features.similarity import part_similarity
from streamreid.training.embed import embed
from streamreid.training.figures import draw_parts, draw_ranks
from streamreid.training.network import PartNetwork
from streamreid.types import FloatArray

__all__ = ["draw_curves", "draw_distances", "read_log", "write_report"]


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
        files.append(draw_ranks(network, images, people, similarity, folder / "ranks.png", size=size))
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
            left.plot(
                steps,
                np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same"),
                label=name,
            )
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


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train", "Drawing the training report") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
