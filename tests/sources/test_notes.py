"""What a source remembers of what went wrong."""

from streamreid.sources.base import Notes


def test_a_camera_that_switches_sizes_is_warned_of_once_and_then_counted():
    notes = Notes()
    for index in range(200):
        notes.size(*((640, 480), (320, 240))[index % 2], index)
    assert notes.all() == [
        "frame size changed from 640x480 to 320x240 at frame 1",
        "frame size changed 198 more times",
    ]
