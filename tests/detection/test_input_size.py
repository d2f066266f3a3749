"""The detector's input size: the usual one, then by the height of people."""

from __future__ import annotations

import numpy as np
import pytest

from streamreid.detection.input_size import InputSizes
from streamreid.detection.profiles import SizeRule
from streamreid.types import Detections, Frame

RULE = SizeRule((416, 512, 640), 512, least_height=30.0, plenty=80.0)


def frame(camera: str, number: int, size: tuple[int, int] = (1000, 500), *, second: float | None = None) -> Frame:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    return Frame(camera, number, number / 10 if second is None else second, image)


def people(height: float, score: float = 0.9) -> Detections:
    return Detections.from_arrays(np.array([[10, 10, 40, 10 + height]] * 2, np.float32), np.full(2, score, np.float32))


def play(sizes: InputSizes, height: float, frames: int, *, start: int = 0, score: float = 0.9) -> list[int]:
    found = []
    for number in range(start, start + frames):
        found.append(sizes.of(frame("a", number)))
        sizes.note(frame("a", number), people(height, score))
    return found


def test_the_usual_one_is_the_first() -> None:
    sizes = InputSizes(None, RULE)
    assert [sizes.of(frame("a", 0, (768, 576))), sizes.of(frame("b", 0, (440, 330)))] == [512, 416]


@pytest.mark.parametrize(
    ("height", "wanted"),
    [
        (200, 416),  # 83 pixels at 416
        (170, 512),  # 71 at 416: not plenty
        (60, 512),  # 31 at 512
        (50, 640),  # 26 at 512, 32 at 640
        (20, 640),  # not even there
    ],
)
def test_then_small_people_decide(height: float, wanted: int) -> None:
    found = play(InputSizes(None, RULE), height, 30)
    assert found[:10] == [512] * 10  # the first second
    assert found[11:] == [wanted] * 19


def test_a_thing_that_is_always_taken_for_somebody_does_not_decide() -> None:
    sizes = InputSizes(None, RULE)
    for number in range(30):
        sizes.of(frame("a", number))
        sizes.note(frame("a", number), people(100))
        sizes.note(frame("a", number), people(100))
        sizes.note(frame("a", number), people(20)[:1])
    assert sizes.of(frame("a", 30)) == 512


def test_unsure_boxes_say_nothing() -> None:
    assert set(play(InputSizes(None, RULE), 200, 30, score=0.3)) == {512}


@pytest.mark.parametrize(
    ("first", "there", "then", "stays"),
    [(200, 416, 160, True), (200, 416, 150, False), (50, 640, 65, True), (50, 640, 80, False)],
)
def test_it_goes_back_when_people_are_clearly_of_another_height(
    first: float, there: int, then: float, stays: bool
) -> None:
    sizes = InputSizes(None, RULE)
    assert play(sizes, first, 50)[-1] == there
    found = play(sizes, then, 300, start=50)
    assert found[-1] == (there if stays else 512)
    assert set(found) <= {there, 512}


def test_a_source_that_begins_anew_is_judged_anew() -> None:
    sizes = InputSizes(None, RULE)
    assert play(sizes, 200, 300)[-1] == 416
    assert sizes.of(frame("a", 0)) == 512
    assert play(sizes, 200, 300)[-1] == 416
    assert sizes.of(frame("a", 301, (640, 480))) == 512


def test_no_more_pixels_than_the_source_has() -> None:
    sizes = InputSizes(None, RULE)
    for number in range(30):
        sizes.of(frame("a", number, (520, 400)))
        sizes.note(frame("a", number, (520, 400)), people(20))
    assert sizes.of(frame("a", 31, (520, 400))) == 512


def test_a_set_size_stays() -> None:
    assert set(play(InputSizes(960, RULE), 20, 30)) == {960}
    assert set(play(InputSizes(None, None), 20, 30)) == {640}
