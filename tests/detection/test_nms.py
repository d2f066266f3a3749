"""Suppression against a plain reference."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamreid.detection.nms import non_maximum_suppression


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0


def reference(boxes: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda r: (-scores[r], r)):
        if all(overlap(boxes[row].astype(float), boxes[k].astype(float)) <= iou for k in kept):
            kept.append(row)
    return kept


@given(seed=st.integers(0, 10_000), count=st.integers(0, 60), iou=st.sampled_from([0.0, 0.31, 0.5, 0.7, 1.0]))
def test_like_the_reference(seed: int, count: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 40, (count, 2)), rng.uniform(1, 30, (count, 2))
    boxes = np.concatenate([corner, corner + side], axis=1).astype(np.float32)
    scores = rng.integers(0, 8, count).astype(np.float32) / 8  # with ties
    assert non_maximum_suppression(boxes, scores, iou).tolist() == reference(boxes, scores, iou)


def test_limits() -> None:
    boxes = np.array([[i * 10, 0, i * 10 + 5, 5] for i in range(50)], np.float32)
    scores = np.linspace(0, 1, 50, dtype=np.float32)
    assert non_maximum_suppression(boxes, scores, 0.5, limit=7).tolist() == list(range(49, 42, -1))
    assert non_maximum_suppression(boxes, scores, 0.5, candidates=3).tolist() == [49, 48, 47]
    assert non_maximum_suppression(boxes[:0], scores[:0], 0.5).shape == (0,)


def test_boxes_without_area_do_not_divide_by_zero() -> None:
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 9, 9]], np.float32)
    assert set(non_maximum_suppression(boxes, np.array([0.3, 0.2, 0.1], np.float32), 0.5)) == {0, 1, 2}
