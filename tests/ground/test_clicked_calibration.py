"""Calibration by clicks: how exact it is, and what is said of clicks that are wrong."""

import numpy as np
import pytest

from streamreid.errors import ConfigError
from streamreid.ground.calibration_files import load_calibration
from streamreid.ground.camera_model import GroundCamera
from streamreid.ground.clicked_calibration import calibrate_by_clicks, seen_by_other

SIZE = (1280, 720)
FLOOR = np.array([[x, y] for x in (-2.0, 0.0, 2.0) for y in (4.0, 6.0, 9.0)])


def camera(name="hall", position=(0.0, 0.0, 3.0), pan=0.0, tilt=0.5, focal=900.0):
    """A pinhole camera that looks along y, turned by ``pan`` and down by ``tilt`` (radians)."""
    ahead = np.array([np.sin(pan) * np.cos(tilt), np.cos(pan) * np.cos(tilt), -np.sin(tilt)])
    right = np.array([np.cos(pan), -np.sin(pan), 0.0])
    rotation = np.stack([right, np.cross(ahead, right), ahead])
    inner = np.array([[focal, 0, SIZE[0] / 2], [0, focal, SIZE[1] / 2], [0, 0, 1]])
    matrix = inner @ np.concatenate([rotation, (-rotation @ np.array(position))[:, None]], 1)
    return GroundCamera.from_matrix(name, matrix, size=SIZE)


def clicks(model, places, sigma=0.0, seed=3):
    """``[N, 4]``: where places on the ground are in the picture, clicked with an error."""
    pixels, _ = model.project(np.concatenate([places, np.zeros((len(places), 1))], 1))
    return np.concatenate([pixels + np.random.default_rng(seed).normal(0, sigma, pixels.shape), places], 1)


def test_careful_clicks_calibrate_to_centimetres():
    found = calibrate_by_clicks("hall", clicks(camera(), FLOOR, 1.0), size=SIZE)
    elsewhere = np.array([[-1.0, 5.0], [1.0, 7.0], [0.5, 8.0], [-1.5, 8.5]])
    truth = clicks(camera(), elsewhere)[:, :2]
    assert np.median(np.linalg.norm(found.camera.to_plane(truth) - elsewhere, axis=1)) < 0.05
    assert found.median_error < 0.05
    assert found.problems == ()
    assert all(point.pixels < 4 for point in found.points)
    assert np.allclose(load_calibration("hall", found.config).scaled(SIZE).matrix, found.camera.matrix)
    assert 2.5 < found.camera.position[2] < 3.5


def test_the_expected_error_is_that_of_many_clicks():
    found = calibrate_by_clicks("hall", clicks(camera(), FLOOR), size=SIZE)
    truth = clicks(camera(), FLOOR)[:, :2]
    errors = []
    for seed in range(60):
        model = calibrate_by_clicks("hall", clicks(camera(), FLOOR, 1.0, seed), size=SIZE).camera
        errors.append(((model.to_plane(truth) - FLOOR) ** 2).sum(1))
    measured = np.sqrt(np.mean(errors, 0))
    expected = np.array([point.expected for point in found.points])
    assert np.all((0.75 * expected < measured) & (measured < 1.33 * expected))


def test_a_wrong_click_is_named_and_by_how_much():
    points = clicks(camera(), FLOOR, 0.5)
    points[4, 2:] += (1.0, 0.0)
    said = calibrate_by_clicks("hall", points, size=SIZE).problems[0]
    assert "point 5 does not fit" in said
    assert 0.8 < float(said.split("put it ")[1].split(" m")[0]) < 1.2
    points[0, 2:] += (0.0, 2.5)
    found = calibrate_by_clicks("hall", points, size=SIZE)
    assert "no single one is to blame" in found.problems[0]
    assert "from 6 points on" in calibrate_by_clicks("hall", points[[0, 2, 4, 6, 8]], size=SIZE).problems[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([0, 1, 2], "3 points; at least 4"),
        ([0, 1, 2, 8], "points 1, 2 and 3 are on one line"),
        ([0, 1, 2, 8, 8], "points 4 and 5 are at the same place"),
    ],
)
def test_points_that_say_nothing_are_refused_by_their_numbers(rows, said):
    with pytest.raises(ConfigError, match=said):
        calibrate_by_clicks("hall", clicks(camera(), FLOOR[rows]), size=SIZE)


@pytest.mark.parametrize(
    "points", [[], [[1, 2]] * 4, [[1, 2, 3, "x"]] * 4, [[float("nan")] * 4] * 4, [[0, 0, 0, 0]] * 4]
)
def test_what_is_no_point_is_refused(points):
    with pytest.raises(ConfigError):
        calibrate_by_clicks("hall", points, size=SIZE)


def test_four_points_are_said_to_fit_any_way_and_small_areas_to_be_poor():
    few = calibrate_by_clicks("hall", clicks(camera(), FLOOR[[0, 2, 6, 8]]), size=SIZE)
    assert few.median_error < 1e-6
    assert "a fifth one" in few.problems[-1]
    far = np.array([[-2.0, 30.0], [2.0, 30.0], [2.0, 40.0], [-2.0, 40.0], [0.0, 35.0]])
    assert any(
        "off by one pixel" in said for said in calibrate_by_clicks("a", clicks(camera(), far), size=SIZE).problems
    )


def test_centimetres_for_metres_are_named():
    points = clicks(camera(), FLOOR)
    points[:, 2:] *= 100
    found = calibrate_by_clicks("hall", points, size=SIZE)
    assert found.camera is None
    assert "unit: 0.01" in " ".join(found.problems)


def test_the_same_floor_in_two_cameras_makes_one_world_of_them():
    one, two = camera(), camera("yard", (5.0, 1.0, 4.0), pan=-0.9, tilt=0.6)
    mine = clicks(one, FLOOR, 0.5)[:, :2]
    ground, doubts = seen_by_other(one, mine)
    found = calibrate_by_clicks("yard", np.concatenate([clicks(two, FLOOR, 0.5, 8)[:, :2], ground], 1), size=SIZE)
    truth = clicks(two, FLOOR)[:, :2]
    assert np.median(np.linalg.norm(found.camera.to_plane(truth) - FLOOR, axis=1)) < 0.05
    assert doubts == []
    with pytest.raises(ConfigError, match="point 2 is above the horizon"):
        seen_by_other(camera(tilt=0.1), [[640, 600], [600, 100]])
    assert "so far from camera 'hall'" in seen_by_other(camera(tilt=0.1), [[640, 320]])[1][0]
