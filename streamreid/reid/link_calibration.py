"""Fit the probability that two features belong to one person, on pictures of known people."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.errors import DataError
from streamreid.features.similarity import Calibration, part_similarity
from streamreid.media import is_picture
from streamreid.reid.base import Embedder
from streamreid.types import Detections, Frame, PartFeatures

__all__ = ["fit_calibration", "fit_logistic"]

log = logging.getLogger(__name__)

_NAME = re.compile(r"^(-?\d+)_c(\d+)")


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
    slope, intercept = fit_logistic(similarity, same)
    inside, one = _pairs(everybody, who, across=False)
    impostors = inside[~one]
    source = f"{len(kept)} pictures of {len({p for p, _ in kept})} people, across cameras"
    return Calibration(slope, intercept, source, float(impostors.mean()), float(impostors.std()))


def fit_logistic(
    values: NDArray[np.float64], positive: NDArray[np.bool_], *, ridge: float = 1e-6, steps: int = 100
) -> tuple[float, float]:
    """Logistic regression of one variable by Newton's method, both classes weighing the same.

    Args:
        values: ``[N]``.
        positive: ``[N]`` bool, both kinds present.
        ridge: Weight of a quadratic penalty that keeps separable data finite.
        steps: Most iterations.

    Returns:
        Slope and intercept of the log-odds.
    """
    x = np.stack([np.asarray(values, np.float64), np.ones(len(values))], axis=1)
    y = positive.astype(np.float64)
    weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    theta = np.zeros(2)

    def loss(t: NDArray[np.float64]) -> float:
        z = x @ t
        return float(weight @ (np.logaddexp(0.0, z) - y * z) + 0.5 * ridge * t @ t)

    current = loss(theta)
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -700, 700)))
        gradient = x.T @ (weight * (p - y)) + ridge * theta
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and loss(theta - size * step) > current:  # Newton overshoots where the curve is flat
            size /= 2
        theta = theta - size * step
        previous, current = current, loss(theta)
        if previous - current < 1e-13:
            break
    return float(theta[0]), float(theta[1])


def _scan(folder: Path) -> dict[int, dict[int, list[Path]]]:
    """Pictures by person and camera."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of pictures to calibrate on")
    found: dict[int, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.iterdir()):
        match = _NAME.match(path.name)
        if match and is_picture(path) and int(match[1]) > 0:
            found[int(match[1])][int(match[2])].append(path)
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
