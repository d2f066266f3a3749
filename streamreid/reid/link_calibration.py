"""Fit the probability that two features belong to one person, on pictures of known people."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.market1501 import parse_name
from streamreid.errors import DataError
from streamreid.features.logistic import fit_logistic
from streamreid.features.similarity import Calibration, part_similarity
from streamreid.media import is_picture
from streamreid.reid.base import Embedder
from streamreid.types import Detections, Frame, PartFeatures

__all__ = ["fit_calibration", "fit_platt"]

log = logging.getLogger(__name__)


def fit_calibration(
    embedder: Embedder,
    folder: str | Path,
    *,
    people: int = 300,
    per_camera: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit on same and different people across cameras.

    Args:
        embedder: The engine (with least height 0: pictures are looked at whole).
        folder: Pictures named as in Market-1501, ``PPPP_cCsS_*.jpg``; persons 0 and -1 (junk there) are left out.
        people: Most people to use, drawn with a fixed seed.
        per_camera: Most pictures of one person in one camera.
        progress: Called with pictures done and pictures in all.

    Raises:
        DataError: No such folder, no pictures so named, or fewer than two people seen by two cameras.
    """
    folder = Path(folder)
    files = _choose(_scan(folder), folder, people, per_camera)
    features, kept = [], []
    for start in range(0, len(files), 64):
        frames: list[Frame] = []
        labels: list[tuple[int, int]] = []
        for path, person, camera in files[start : start + 64]:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                log.warning("%s: not a readable picture; left out", path)
                continue
            frames.append(Frame("calibration", len(frames), 0.0, np.asarray(image, np.uint8)))
            labels.append((person, camera))
        whole = [Detections.from_arrays([[0, 0, *frame.size]]) for frame in frames]
        features += embedder(frames, whole)
        kept += labels
        if progress is not None:
            progress(min(start + 64, len(files)), len(files))
    if not features:
        raise DataError(f"{folder}: none of the chosen pictures could be read")
    everybody, who = PartFeatures.concatenate(features), np.array(kept)
    similarity, same = _pairs(everybody, who, across=True)
    if not same.any() or same.all():
        raise DataError(
            f"{folder}: calibration needs people seen by at least two cameras, and at least two such people"
        )
    slope, intercept = fit_platt(similarity, same)
    inside, one = _pairs(everybody, who, across=False)
    impostors = inside[~one]
    source = f"{len(kept)} pictures of {len({p for p, _ in kept})} people, across cameras"
    return Calibration(slope, intercept, source, float(impostors.mean()), float(impostors.std()))


def fit_platt(
    values: NDArray[np.float64], positive: NDArray[np.bool_], *, ridge: float = 1e-6, tolerance: float = 1e-13
) -> tuple[float, float]:
    """Platt scaling: logistic regression of one variable, both classes weighing the same.

    Args:
        values: ``[N]``.
        positive: ``[N]`` bool, both kinds present.
        ridge: Weight of a quadratic penalty that keeps separable data finite.
        tolerance: Decrease of the loss at which the fit ends.

    Returns:
        Slope and intercept of the log-odds.
    """
    x = np.stack([np.asarray(values, np.float64), np.ones(len(values))], axis=1)
    weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    slope, intercept = fit_logistic(x, positive, weight, ridge=ridge, tolerance=tolerance).tolist()
    return slope, intercept


def _scan(folder: Path) -> dict[int, dict[int, list[Path]]]:
    """Pictures by person and camera."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of pictures to calibrate on")
    found: dict[int, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.iterdir()):
        name = parse_name(path.name)
        if name is not None and name.is_person and is_picture(path):
            found[name.person][name.camera].append(path)
    if not found:
        raise DataError(f"{folder}: no pictures named as in Market-1501 (PPPP_cCsS_*.jpg)")
    return found


def _choose(
    found: dict[int, dict[int, list[Path]]], folder: Path, people: int, per_camera: int
) -> list[tuple[Path, int, int]]:
    several = sorted(person for person, cameras in found.items() if len(cameras) > 1)
    if len(several) < 2:
        raise DataError(
            f"{folder}: calibration needs at least two people seen by at least two cameras; found {len(several)} of "
            f"{len(found)}"
        )
    rng = np.random.default_rng(0)
    chosen = sorted(rng.choice(several, size=min(people, len(several)), replace=False).tolist())
    files = []
    for person in chosen:
        for camera, paths in sorted(found[person].items()):
            rows = sorted(rng.choice(len(paths), size=min(per_camera, len(paths)), replace=False).tolist())
            files += [(paths[row], person, camera) for row in rows]
    return files


def _pairs(
    features: PartFeatures, labels: NDArray[np.int64], *, across: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Similarity of all pairs across cameras, or within each camera, and whether they are the same person."""
    similarity, common = part_similarity(features, features)
    rows, columns = np.triu_indices(len(labels), 1)
    use = ((labels[rows, 1] != labels[columns, 1]) == across) & (common[rows, columns] > 0)
    rows, columns = rows[use], columns[use]
    return similarity[rows, columns].astype(np.float64), labels[rows, 0] == labels[columns, 0]
