"""Suppression against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.detection.nms import SoftSuppression, non_maximum_suppression, soft_suppression


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


def soft_reference(
    boxes: np.ndarray, scores: np.ndarray, iou: float, how: SoftSuppression, least: float
) -> list[tuple[int, list[float], float]]:
    """One box after the other, in plain numbers."""
    now = {row: float(score) for row, score in enumerate(scores)}
    result = []
    while now:
        best = min(now, key=lambda r: (-now[r], -scores[r], r))
        score = now.pop(best)
        if score < least or score <= 0:
            break
        alike = [r for r in range(len(boxes)) if r == best or overlap(boxes[best], boxes[r]) >= how.vote]
        weight = sum(float(scores[r]) for r in alike)
        mean = [sum(float(scores[r] * boxes[r][side]) for r in alike) / weight for side in range(4)]
        result.append((best, mean, score))
        for row in list(now):
            common = overlap(boxes[best], boxes[row])
            if common > iou:
                del now[row]
            else:
                now[row] *= min(1.0, max(0.0, 1 - how.loss * max(0.0, common - how.start)))
    return result


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 40),
    iou=st.sampled_from([0.31, 0.7, 1.0]),
    how=st.sampled_from([SoftSuppression(0.4, 2.0, 0.7), SoftSuppression(0.2, 5.0, 0.3), SoftSuppression(1, 1, 1)]),
)
def test_soft_suppression_is_like_the_reference(seed: int, count: int, iou: float, how: SoftSuppression) -> None:
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 20, (count, 2)), rng.uniform(5, 30, (count, 2))
    boxes = np.concatenate([corner, corner + side], axis=1).astype(np.float32)
    scores = rng.uniform(0.05, 1, count).astype(np.float32)
    rows, means, left = soft_suppression(boxes, scores, iou, how, least=0.1)
    expected = soft_reference(boxes.astype(float), scores, iou, how, 0.1)
    assert rows.tolist() == [row for row, _, _ in expected]
    np.testing.assert_allclose(means, np.array([mean for _, mean, _ in expected]).reshape(-1, 4), atol=1e-4)
    np.testing.assert_allclose(left, [score for _, _, score in expected], atol=1e-5)


def test_soft_suppression_without_loss_and_votes_is_the_plain_one() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 40, (60, 2))
    boxes = np.concatenate([corner, corner + 20], axis=1).astype(np.float32)
    scores = rng.uniform(0.2, 1, 60).astype(np.float32)
    rows, means, left = soft_suppression(boxes, scores, 0.5, SoftSuppression(1.0, 0.0, 1.1), least=0.1)
    assert rows.tolist() == non_maximum_suppression(boxes, scores, 0.5).tolist()
    np.testing.assert_allclose(means, boxes[rows], atol=1e-4)
    np.testing.assert_array_equal(left, scores[rows])


def test_soft_suppression_of_two_boxes_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 20], [50, 0, 60, 10], [5, 5, 5, 5]], np.float32)  # IoU .5
    scores = np.array([0.8, 0.5, 0.6, 0.3], np.float32)
    rows, means, left = soft_suppression(boxes, scores, 0.7, SoftSuppression(0.4, 2.0, 0.5), least=0.05)
    assert rows.tolist() == [0, 2, 1, 3]
    assert left.tolist() == pytest.approx([0.8, 0.6, 0.5 * 0.8, 0.3])
    assert means[0].tolist() == pytest.approx([0, 0, 10, 10 + 10 * 0.5 / 1.3])
    assert means[3].tolist() == [5, 5, 5, 5]  # no area: overlaps nothing
    assert soft_suppression(boxes[:0], scores[:0], 0.7, SoftSuppression(0.4, 2.0, 0.7), least=0.1)[1].shape == (0, 4)
