"""Crops: what can be seen is cut out, what cannot is left out, and nothing crashes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.reid.crops import crop_batch, plan_crops
from streamreid.types import Detections, Frame


def frame(width: int, height: int, seed: int = 0, camera: str = "a") -> Frame:
    return Frame(camera, 0, 0.0, np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_crops_of_two_cameras_of_different_sizes() -> None:
    frames = [frame(100, 80), frame(333, 222, 1, "b"), frame(50, 40, 2, "c")]
    detections = [
        Detections.from_arrays([[10, 20, 40, 70], [-30, -10, 25, 30]]),
        Detections.from_arrays([[300.4, 100.6, 400, 300]]),
        Detections.empty(),
    ]
    crops, plan = crop_batch(frames, detections, (64, 32))
    assert crops.shape == (3, 64, 32, 3)
    assert plan.frames.tolist() == [0, 0, 1]
    assert plan.rows.tolist() == [0, 1, 0]
    assert plan.boxes.tolist() == [[10, 20, 40, 70], [0, 0, 25, 30], [300, 101, 333, 222]]
    for crop, number, (x1, y1, x2, y2) in zip(crops, plan.frames, plan.boxes, strict=True):
        np.testing.assert_array_equal(
            crop, cv2.resize(frames[number].image[y1:y2, x1:x2], (32, 64), interpolation=cv2.INTER_LINEAR)
        )


@pytest.mark.parametrize(
    "box",
    [
        [np.nan, 0, 10, 10],
        [0, 0, np.inf, 10],
        [5, 5, 5, 30],
        [5, 5, 30, 5],
        [30, 30, 10, 10],
        [-50, -50, -10, -10],
        [100, 10, 120, 40],
        [10, 80, 20, 90],
        [10, 10, 10.3, 40],
        [1e30, 1e30, 2e30, 2e30],
    ],
)
def test_a_box_with_nothing_to_see_is_left_out(box: list[float]) -> None:
    detections = [Detections.from_arrays([[0, 0, 20, 40], box, [1, 1, 30, 60]])]
    crops, plan = crop_batch([frame(100, 80)], detections, (64, 32))
    assert plan.rows.tolist() == [0, 2]
    assert len(crops) == 2


def test_low_people_are_left_out_by_what_is_inside_the_frame() -> None:
    detections = [Detections.from_arrays([[0, 0, 20, 30], [0, 0, 20, 29], [0, -100, 20, 29]])]
    assert plan_crops([frame(100, 80)], detections, min_height=30).rows.tolist() == [0]


def test_frames_and_detections_must_match() -> None:
    with pytest.raises(ValueError, match="one Detections per frame, got 0 for 1"):
        plan_crops([frame(10, 10)], [])
    assert len(plan_crops([], [])) == 0


values = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(boxes=st.lists(st.tuples(values, values, values, values), max_size=8))
def test_any_box_is_safe(boxes: list[tuple[float, float, float, float]]) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        crops, plan = crop_batch(
            [frame(60, 40)], [Detections.from_arrays(np.array(boxes, np.float32).reshape(-1, 4))], (16, 8)
        )
    assert len(crops) == len(plan) <= len(boxes)
    assert (plan.boxes[:, :2] >= 0).all()
    assert (plan.boxes[:, 2:] <= [60, 40]).all()
    assert (plan.boxes[:, 2:] > plan.boxes[:, :2]).all()
