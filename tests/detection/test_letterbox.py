"""Pictures go in without changing proportions, boxes come back to where they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.detection.letterbox import PAD_VALUE, Letterbox, blank

sides = st.integers(8, 4000)


@given(
    width=sides,
    height=sides,
    size=st.sampled_from([320, 416, 640, 1280]),
    how=st.sampled_from(["rectangle", "centred", "corner"]),
)
def test_boxes_come_back(width: int, height: int, size: int, how: str) -> None:
    if how == "rectangle":
        box = Letterbox.rectangle((width, height), size, 32)
        assert box.outer[0] % 32 == box.outer[1] % 32 == 0
        assert max(box.outer) == size
    else:
        box = Letterbox.fixed((width, height), (size, size), centred=how == "centred")
        assert box.outer == (size, size)
    assert 0 <= box.left <= box.outer[0] - box.inner[0]
    assert 0 <= box.top <= box.outer[1] - box.inner[1]
    boxes = np.array([[0, 0, width, height], [width / 4, height / 3, width / 2, height * 0.9]], np.float32)
    np.testing.assert_allclose(box.to_source(box.to_input(boxes)), boxes, atol=max(width, height) * 1e-5)


@pytest.mark.parametrize(
    ("source", "size", "outer", "inner", "left", "top"),
    [
        ((768, 576), 640, (640, 480), (640, 480), 0, 0),
        ((1920, 1080), 640, (640, 384), (640, 360), 0, 12),
        ((1080, 1920), 640, (384, 640), (360, 640), 12, 0),
        ((320, 240), 640, (640, 480), (640, 480), 0, 0),
        ((500, 333), 640, (640, 448), (640, 426), 0, 11),
        ((640, 480), 650, (672, 512), (672, 504), 0, 4),
    ],
)
def test_rectangles_are_those_of_ultralytics(source, size, outer, inner, left, top) -> None:
    box = Letterbox.rectangle(source, size, 32)
    assert (box.outer, box.inner, box.left, box.top) == (outer, inner, left, top)


def test_boxes_are_clipped_to_the_picture() -> None:
    box = Letterbox.rectangle((1920, 1080), 640, 32)
    out = box.to_source(np.array([[-50, -50, 9999, 9999]], np.float32))
    assert out.tolist() == [[0, 0, 1920, 1080]]


def test_the_border_stays_grey_and_the_picture_is_drawn_in_place() -> None:
    box = Letterbox.rectangle((1920, 1080), 640, 32)
    batch = blank(2, box.outer)
    box.draw(np.full((1080, 1920, 3), 9, np.uint8), batch[1])
    assert (batch[0] == PAD_VALUE).all()
    assert (batch[1, :12] == PAD_VALUE).all()
    assert (batch[1, 372:] == PAD_VALUE).all()
    assert (batch[1, 12:372] == 9).all()
