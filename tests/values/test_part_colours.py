"""Mean colours of body parts: of what the box shows, by band, as well as the engine saw each part."""

from dataclasses import replace

import numpy as np
import pytest

from streamreid.features.part_colours import BODY, PartColours, part_colours, part_weights
from streamreid.sinks.colours import ColourSink, read_colours
from streamreid.track_update import TrackedFrame, TrackUpdate
from streamreid.types import Frame, FrameResult, IdentityEvent, Tracks

PARTS = ("foreground", "head", "torso", "arms", "legs", "feet")
CLOTHES = {"head": (10, 20, 200), "torso": (200, 30, 20), "legs": (20, 160, 40), "feet": (0, 0, 0)}
BOX = np.array([[20, 10, 60, 110]], np.float32)


def picture():
    """Somebody of four colours at `BOX`, on grey."""
    image = np.full((120, 80, 3), 96, np.uint8)
    for (first, last), colour in zip(((0, 16), (16, 50), (50, 90), (90, 100)), CLOTHES.values(), strict=True):
        image[10 + first : 10 + last, 24:56] = colour
    return image


def test_each_part_has_the_colour_of_its_band():
    (found,) = part_colours(picture(), BOX)
    assert found[:, 3].tolist() == [255] * 4
    for row, name in zip(found, BODY, strict=True):
        assert np.abs(row[:3].astype(int) - CLOTHES[name]).max() <= 25, name


def test_what_is_outside_of_the_picture_or_too_small_has_none():
    image = picture()
    below, beside, small, odd = part_colours(
        image,
        np.array([[20, 70, 60, 170], [90, 0, 130, 90], [20, 10, 24, 18], [np.nan, 0, 5, 90]], np.float32),
    )
    assert below[:, 3].astype(bool).tolist() == [True, True, False, False]
    assert not beside[:, 3].any()
    assert not small[:, 3].any()
    assert not odd[:, 3].any()


def test_parts_count_as_they_were_seen():
    visibility = np.array([[1.0, 0.0, 0.2, 0.8, 0.5, 0.0]], np.float32)
    assert part_weights(visibility, PARTS).tolist() == [[0.0, pytest.approx(0.8), 0.5, 0.0]]
    assert part_weights(np.array([[0.7]], np.float32), ("foreground",)).tolist() == [[pytest.approx(0.7)] * 4]


def result(time, colours, *, ids=(3,), who=(7,)):
    n = len(ids)
    tracks = Tracks(np.array(ids, np.int64), np.repeat(BOX, n, 0), np.ones(n, np.float32), np.arange(n))
    return FrameResult(
        Frame("hall", 0, time, picture()),
        tracks,
        np.array(who, np.int64),
        np.ones(n, np.float32),
        np.ones((n, 6), np.float32),
        colours=colours,
    )


def test_a_track_is_looked_at_once_a_second_and_its_colours_are_written_erased_and_forgotten(tmp_path):
    look = PartColours(PARTS)
    seen = np.ones((1, 6), np.float32)
    found = [look("hall", time, picture(), [3], BOX, seen) for time in (0.0, 0.1, 0.9, 1.05)]
    assert [colours is not None for colours in found] == [True, False, False, True]
    assert look("hall", 5.0, picture(), [4], BOX, np.zeros_like(seen)) is None  # not embedded: nothing is known of it
    written, board = ColourSink(tmp_path / "colours.jsonl"), ColourSink()
    for sink in (written, board):
        for colours in found:
            sink.write(result(0.0, colours))
        sink.event(IdentityEvent("merge", 1.0, 2, other_id=7))
    assert set(board.colours(("hall", 3))) == set(BODY)
    written.close({})
    (told,) = read_colours(tmp_path).values()
    assert told == board.colours(("hall", 3))
    assert told["torso"].startswith("#")
    assert int(told["torso"][5:], 16) > 150 > int(told["torso"][1:3], 16)
    board.event(IdentityEvent("expire", 2.0, 2))
    assert board.colours(("hall", 3)) == {}


def test_colours_cross_the_seam_as_bytes():
    colours = np.zeros((3, 4, 4), np.uint8)
    colours[1] = part_colours(picture(), BOX)[0]
    one = result(1.0, colours, ids=(3, 4, 5), who=(1, 2, 3))
    frame = TrackedFrame(one.frame, one.tracks, one.visibility, None, colours)
    (again,) = TrackUpdate.from_bytes(TrackUpdate(released=(frame,)).to_bytes()).released
    np.testing.assert_array_equal(again.colours, colours, strict=True)
    (without,) = TrackUpdate.from_bytes(TrackUpdate(released=(replace(frame, colours=None),)).to_bytes()).released
    assert without.colours is None
