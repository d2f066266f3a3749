"""Assignment against scipy and overlaps against a loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from streamreid.boxes import cover_matrix, iou_matrix
from streamreid.tracking.assignment import assign

shape = st.tuples(st.integers(0, 7), st.integers(0, 7))


@given(shape.flatmap(lambda s: st.tuples(arrays(np.float32, s, elements=st.floats(0, 1, width=32)), arrays(bool, s))))
def test_assignment_has_the_greatest_sum(case):
    score, allowed = case
    rows, columns = assign(score, allowed)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert allowed[rows, columns].all()
    gain = np.where(allowed, score, 0.0).astype(float)
    best = gain[linear_sum_assignment(gain, maximize=True)].sum() if gain.size else 0.0
    assert score[rows, columns].sum() == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_assign(size):
    rows, columns = assign(np.zeros(size, np.float32), np.ones(size, bool))
    assert len(rows) == len(columns) == 0


def loop_iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    area = (a[2] - a[0]) * (a[3] - a[1])
    union = area + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union, inter / area


def test_overlaps_by_hand_and_by_loop():
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32)
    assert iou_matrix(a, b)[0] == pytest.approx([1 / 3, 0, 1])
    assert cover_matrix(a, b)[0] == pytest.approx([0.5, 0, 1])
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 50, (20, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 40, (20, 2))], 1).astype(np.float32)
    expected = np.array([[loop_iou(x, y) for y in boxes] for x in boxes.astype(float)])
    assert iou_matrix(boxes, boxes) == pytest.approx(expected[..., 0], abs=1e-5)
    assert cover_matrix(boxes, boxes) == pytest.approx(expected[..., 1], abs=1e-5)
