"""Camera motion against pictures moved by a known map, and the tracker on a moving camera."""

import cv2
import numpy as np
import pytest

from streamreid.config import TrackerConfig
from streamreid.tracking import CameraMotion, Tracker
from streamreid.types import Detections


def scene(seed=0, size=(600, 800)):
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3)).astype(np.uint8), (0, 0), 4)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)


def crop(image, affine):
    """480x360 view of the scene, moved by ``affine``."""
    return cv2.warpAffine(image, affine, (480, 360))


@pytest.mark.parametrize("method", ["flow", "ecc"])
@pytest.mark.parametrize(("angle", "dx", "dy"), [(0.0, 6.0, -3.0), (1.0, -4.0, 2.0)])
def test_a_known_motion_is_found(method, angle, dx, dy):
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    first = np.array([[1, 0, -100], [0, 1, -80]], np.float32)
    move = np.array([[c, -s, dx], [s, c, dy]], np.float32)
    second = (np.vstack([move, [0, 0, 1]]) @ np.vstack([first, [0, 0, 1]]))[:2].astype(np.float32)
    motion = CameraMotion(method, width=480)
    assert np.array_equal(motion(crop(scene(), first)), np.eye(2, 3))
    found = motion(crop(scene(), second))
    points = np.array([[0, 0, 1], [479, 0, 1], [240, 359, 1]], np.float32)
    assert points @ found.T == pytest.approx(points @ move.T, abs=1.0)


def test_pictures_without_texture_and_of_another_size_give_the_identity():
    motion = CameraMotion()
    for image in (
        np.zeros((100, 100, 3), np.uint8),
        np.zeros((100, 100, 3), np.uint8),
        np.zeros((50, 80, 3), np.uint8),
    ):
        assert np.array_equal(motion(image), np.eye(2, 3))


def test_people_are_left_out():
    """The whole picture stands still but one big person with much texture moves."""
    background, person = scene(1, (360, 480)), scene(2, (300, 200))
    motion = CameraMotion()
    for x in (100, 112):
        image = background.copy()
        image[30:330, x : x + 200] = person
        found = motion(image, np.array([[x, 30, x + 200, 330]], np.float32))
    assert found == pytest.approx(np.eye(2, 3), abs=0.3)


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match="flow or ecc"):
        CameraMotion("orb")


def test_a_jerk_of_the_camera_costs_no_id():
    boxes = np.array([[100, 100, 130, 190], [180, 100, 210, 190], [260, 100, 290, 190]], np.float32)
    jerk = np.array([[1, 0, 80], [0, 1, 0]], np.float32)
    shift = np.array([80, 0, 80, 0], np.float32)

    def after(camera):
        tracker = Tracker(TrackerConfig())
        for i in range(10):
            before = tracker.update(Detections.from_arrays(boxes), None, i * 0.1)
        now = tracker.update(Detections.from_arrays(boxes + shift), None, 1.0, camera=camera)
        return before.ids.tolist(), dict(zip(now.ids.tolist(), now.boxes[:, 0].tolist(), strict=True))

    ids, known = after(jerk)
    assert list(known) == ids
    assert [known[i] for i in ids] == pytest.approx([180, 260, 340], abs=3)
    _, unknown = after(None)
    assert unknown.get(ids[1]) == pytest.approx(180, abs=15)  # without it the neighbour's box is taken


@pytest.mark.parametrize("camera", [np.eye(3), np.full((2, 3), np.nan)])
def test_a_map_that_is_none_is_refused(camera):
    with pytest.raises(ValueError, match="camera motion"):
        Tracker().update(Detections.empty(), None, 0.0, camera=camera)
