"""Calibrated cameras, people followed on the ground, and clocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.clocks.clock_offsets import ClockOffsetEstimator
from streamreid.config import CalibrationConfig, Config, GroundConfig
from streamreid.errors import ConfigError
from streamreid.ground.body_model import body_boxes
from streamreid.ground.calibration_files import load_calibration
from streamreid.ground.camera_model import GroundCamera, matrix_from_homography
from streamreid.ground.ground_evidence import GroundEvidence
from streamreid.ground.tracker import GroundTracker
from streamreid.types import Tracks

SIZE = (768, 432)


def look(position: tuple[float, float, float], target: tuple[float, float], focal: float = 600.0) -> np.ndarray:
    """A projection matrix of a camera at a position that looks at the ground."""
    eye = np.array(position)
    forward = np.array([*target, 0.8]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    inner = np.array([[focal, 0, SIZE[0] / 2], [0, focal, SIZE[1] / 2], [0, 0, 1]])
    return inner @ np.concatenate([rotation, -(rotation @ eye)[:, None]], 1)


EAST, SOUTH = look((9, 0, 3.5), (0, 0)), look((0, -9, 3.0), (0, 0))


def cameras() -> dict[str, GroundCamera]:
    return {"east": GroundCamera.from_matrix("east", EAST), "south": GroundCamera.from_matrix("south", SOUTH)}


def walkers(time: float) -> np.ndarray:
    """Three people on their ways, ``[3, 2]``; the first two pass each other at 1 m."""
    return np.array([[-3 + time * 0.6, 0.5], [3 - time * 0.6, -0.5], [np.sin(time / 2) * 2, 2.5]])


def found(camera: GroundCamera, points: np.ndarray) -> np.ndarray:
    return body_boxes(camera, np.concatenate([points, np.full((len(points), 1), 1.72)], 1))


@settings(max_examples=40, deadline=None)
@given(x=st.floats(-4, 4), y=st.floats(-4, 4), scale=st.sampled_from([1.0, -1.0, 0.02, -30.0]))
def test_from_the_ground_to_pixels_and_back(x: float, y: float, scale: float) -> None:
    camera = GroundCamera.from_matrix("c", EAST * scale)
    pixels, depth = camera.project(np.array([[x, y, 0.0]]))
    assert depth[0] > 0
    points, covariance = camera.to_ground(pixels, np.ones((1, 2)))
    assert points[0] == pytest.approx([x, y], abs=1e-6)
    assert (np.linalg.eigvalsh(covariance[0]) > 0).all()


def test_farther_is_less_sure() -> None:
    camera = cameras()["east"]
    near, far = (
        camera.to_ground(camera.project(np.array([[x, 0.0, 0.0]]))[0], np.ones((1, 2)))[1][0].trace()
        for x in (5.0, -5.0)
    )
    assert far > 4 * near


def test_nothing_is_seen_above_the_horizon() -> None:
    assert np.isnan(cameras()["east"].to_plane(np.array([[384.0, -400.0]]))).all()


def test_a_homography_tells_where_heads_are() -> None:
    camera = GroundCamera.from_matrix("c", matrix_from_homography(EAST[:, [0, 1, 3]], SIZE, where="test"))
    heads = np.array([[1.0, 2.0, 1.7], [-2.0, -1.0, 1.8]])
    assert camera.project(heads)[0] == pytest.approx(cameras()["east"].project(heads)[0], abs=2.0)


def test_pets_tsai_agrees_with_its_ground_truth(shared: Path) -> None:
    folder = shared / "data" / "multicam" / "pets_s2l1"
    camera = load_calibration("cam001", CalibrationConfig(file=str(folder / "View_001.xml")))
    rows = np.loadtxt(folder / "gt_cam001.txt", delimiter=",")
    feet = np.stack([rows[:, 2] + rows[:, 4] / 2, rows[:, 3] + rows[:, 5]], 1)
    assert np.percentile(np.linalg.norm(camera.to_plane(feet) - rows[:, 7:9], axis=1), 90) < 0.25
    assert camera.lens is not None
    assert camera.lens.real(camera.lens.ideal(feet)) == pytest.approx(feet, abs=1e-6)
    with pytest.raises(ConfigError, match="another shape"):
        camera.scaled((1280, 720))
    assert camera.scaled((1536, 1152)).project(np.zeros((1, 3)))[0] == pytest.approx(
        2 * camera.project(np.zeros((1, 3)))[0], rel=1e-3
    )


@pytest.mark.parametrize("ending", ["txt", "csv", "json", "npy", "npz"])
def test_files_of_matrices(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"m.{ending}"
    if ending in ("txt", "csv"):
        np.savetxt(path, EAST, delimiter="," if ending == "csv" else " ")
    elif ending == "json":
        path.write_text(str(EAST.tolist()))
    else:
        np.save(path, EAST) if ending == "npy" else np.savez(path, east=EAST, south=SOUTH)
    name = f"{path}:east" if ending == "npz" else str(path)
    assert load_calibration("c", CalibrationConfig(file=name)).position == pytest.approx([9, 0, 3.5], abs=1e-4)


def test_points_and_both_directions_of_a_homography() -> None:
    east = cameras()["east"]
    ground = np.array([[0, 0], [3, 1], [-2, 2], [1, -3], [2, 3.0]])
    pixels = east.project(np.concatenate([ground, np.zeros((5, 1))], 1))[0]
    points = tuple(tuple(map(float, (*p, *g))) for p, g in zip(pixels, ground, strict=True))
    onto = EAST[:, [0, 1, 3]]
    for config in (
        CalibrationConfig(points=points),  # type: ignore[arg-type]
        CalibrationConfig(matrix=tuple(map(tuple, np.linalg.inv(onto).tolist()))),
        CalibrationConfig(matrix=tuple(map(tuple, onto.tolist())), maps="ground-to-pixels"),
        CalibrationConfig(
            matrix=tuple(map(tuple, (onto @ np.diag([0.01, 0.01, 1])).tolist())), maps="ground-to-pixels", unit=0.01
        ),
    ):
        assert load_calibration("c", config).scaled(SIZE).to_plane(pixels) == pytest.approx(ground, abs=1e-3)
    wrong = (*points[:4], (*points[4][:2], 9.0, -9.0))
    with pytest.raises(ConfigError, match="contradict each other"):
        load_calibration("c", CalibrationConfig(points=wrong))  # type: ignore[arg-type]


def test_calibrations_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="below the ground"):
        GroundCamera.from_matrix("c", look((9, 0, -3.5), (0, 0)))
    with pytest.raises(ConfigError, match="degenerate"):
        GroundCamera.from_matrix("c", np.ones((3, 4)))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_calibration("c", CalibrationConfig(file="nowhere.xml"))


def test_mistakes_in_the_configuration(tmp_path: Path) -> None:
    camera = {"name": "a", "uri": "a.mp4"}
    for bad, message in (
        ({"file": "a.txt", "matrix": EAST.tolist()}, "one of file, matrix and points"),
        ({"matrix": [[1, 2], [3, 4]]}, "3x3 or 3x4"),
        ({"points": [[1, 2, 3, 4]]}, "at least 4 points"),
    ):
        with pytest.raises(ConfigError, match=message):
            Config.from_dict({"cameras": [{**camera, "calibration": bad}]})
    (tmp_path / "t.xml").write_text("<Camera><Geometry/></Camera>")
    with pytest.raises(ConfigError, match="not a Tsai calibration"):
        load_calibration("c", CalibrationConfig(file=str(tmp_path / "t.xml")))


def test_three_people_keep_their_numbers() -> None:
    own = cameras()
    tracker = GroundTracker(own)
    rng = np.random.default_rng(0)
    numbers: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for step in range(80):
        time = step / 8
        points = walkers(time)
        for name, camera in own.items():
            boxes = found(camera, points) + rng.normal(0, 2, (3, 4))
            seen = [p for p in range(3) if rng.uniform() > 0.1]
            owner = tracker.observe(name, time, boxes[seen], SIZE)
            if step > 12:
                for person, number in zip(seen, owner.tolist(), strict=True):
                    numbers[person] |= {number} - {0}
    assert all(len(n) == 1 for n in numbers.values())
    assert len(set().union(*numbers.values())) == 3
    assert len(tracker.finish()) == 3
    last = sorted(t.mean[:2].tolist() for t in tracker.ended)
    assert np.linalg.norm(np.array(last) - np.array(sorted(walkers(79 / 8).tolist())), axis=1).max() < 0.4


def tracks_of(boxes: np.ndarray, ids: list[int]) -> Tracks:
    n = len(boxes)
    return Tracks(np.array(ids), boxes.astype(np.float32), np.ones(n, np.float32), np.arange(n))


def test_places_say_who_is_who() -> None:
    own = cameras()
    place = GroundEvidence(own, GroundConfig(area=((-5, -5), (5, -5), (5, 2), (-5, 2))))
    for step in range(60):
        time = step / 8
        for name, camera in own.items():
            boxes = found(camera, walkers(time))
            place.observe_boxes(name, time, boxes.astype(np.float32), np.ones(3, np.float32), SIZE)
            place.observe_tracks(name, time, tracks_of(boxes, [1, 2, 3]), SIZE)
    odds = place.log_odds([("east", 1), ("east", 2)], [("south", 1), ("south", 2), ("other", 1)])
    assert odds[0, 0] > 5
    assert odds[1, 1] > 5
    assert odds[0, 1] < -5
    assert odds[1, 0] < -5
    assert (odds[:, 2] == 0).all()
    seen = place.positions("south", 59 / 8, np.array([0, 1, 2, -1]))
    assert np.linalg.norm(seen[:2] - walkers(59 / 8)[:2], axis=1).max() < 0.3
    assert np.isnan(seen[2:]).all()  # the third is outside the area, the last is only predicted
    rows = place.finish({("east", 1): (7, 1.0), ("south", 1): (7, 1.0), ("east", 2): (9, 1.0)})
    assert {who for _, who, _, _ in rows} == {7, 9}


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("skew", [0.0, 1.6, -2.3])
def test_a_wrong_clock_is_noticed(calibrated: bool, skew: float) -> None:
    own = cameras()
    watch = ClockOffsetEstimator(own if calibrated else {})
    rng = np.random.default_rng(3)
    phase = rng.uniform(0, 6.28, (8, 4))

    def where(time: float) -> np.ndarray:
        return (
            np.stack(
                [
                    np.sin(0.5 * time + phase[:, 0]) + np.sin(0.23 * time + phase[:, 1]),
                    np.cos(0.41 * time + phase[:, 2]) + np.sin(0.3 * time + phase[:, 3]),
                ],
                1,
            )
            * 1.2
        )

    for step in range(300):
        stamp = step / 6
        for name, camera in own.items():
            boxes = found(camera, where(stamp + (skew if name == "south" else 0.0))) + rng.normal(0, 1, (8, 4))
            watch.observe(name, stamp, tracks_of(boxes, list(range(1, 9))), SIZE)
    (offset,) = watch.estimate({(c, p): (p, 1.0) for c in own for p in range(1, 9)})
    assert (offset.camera, offset.reference, offset.by) == ("south", "east", "places" if calibrated else "views")
    assert offset.seconds == pytest.approx(skew, abs=0.1)
    assert offset.wrong == (skew != 0)


def test_strangers_tell_nothing_of_clocks() -> None:
    watch = ClockOffsetEstimator()
    rng = np.random.default_rng(0)
    for step in range(100):
        for name in ("a", "b"):
            boxes = np.concatenate([rng.uniform(0, 200, (3, 2)), rng.uniform(200, 400, (3, 2))], 1)
            watch.observe(name, step / 6, tracks_of(boxes, [1, 2, 3]), SIZE)
    assert watch.estimate({}) == []
