"""Calibrations that contradict each other, clocks that jump, crowds, and the settings of the ground."""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from streamreid.config import CalibrationConfig, Config, GroundConfig
from streamreid.errors import ConfigError
from streamreid.ground import calibration_check
from streamreid.ground.body_model import body_boxes
from streamreid.ground.calibration_check import CalibrationCheck, Contradiction, worst
from streamreid.ground.calibration_files import load_calibration
from streamreid.ground.camera_model import GroundCamera
from streamreid.ground.frame_order import FrameOrder
from streamreid.ground.ground_evidence import GroundEvidence
from streamreid.ground.k_best_assignment import Offers, likeliest
from streamreid.ground.kalman_filter import GroundSettings
from streamreid.ground.tracker import GroundTracker
from streamreid.types import Tracks

SIZE = (768, 432)


def look(position: tuple[float, float, float], target: tuple[float, float]) -> np.ndarray:
    eye = np.array(position)
    forward = np.array([*target, 0.8]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    inner = np.array([[500.0, 0, SIZE[0] / 2], [0, 500.0, SIZE[1] / 2], [0, 0, 1]])
    return inner @ np.concatenate([rotation, -(rotation @ eye)[:, None]], 1)


MATRICES = {"east": look((9, 0, 3.5), (0, 0)), "north": look((0, 9, 3.2), (0, 0)), "south": look((0, -9, 3.0), (0, 0))}


def walkers(time: float, people: int = 4) -> np.ndarray:
    k = np.arange(people)
    x, y = 2.2 * np.sin((0.35 + 0.05 * k) * time + 2 * k), 2.0 * np.cos((0.3 + 0.04 * k) * time + k)
    return np.stack([x, y], 1)


def tracks_of(boxes: np.ndarray) -> Tracks:
    n = len(boxes)
    return Tracks(np.arange(1, n + 1), boxes.astype(np.float32), np.ones(n, np.float32), np.arange(n))


def film(
    place: GroundEvidence, names: list[str], clock: dict[str, tuple[float, float]] | None = None, seconds: float = 30
) -> None:
    """True cameras film; ``clock`` says when a camera's clock jumps and by how much."""
    true = {n: GroundCamera.from_matrix(n, MATRICES[n]) for n in names}
    for step in range(int(seconds * 4)):
        time = step / 4
        for name, camera in true.items():
            points = walkers(time)
            boxes = body_boxes(camera, np.concatenate([points, np.full((len(points), 1), 1.72)], 1))
            when, by = (clock or {}).get(name, (np.inf, 0.0))
            stamp = time + (by if time >= when else 0.0)
            place.observe_boxes(name, stamp, boxes.astype(np.float32), np.ones(len(boxes), np.float32), SIZE)
            place.observe_tracks(name, stamp, tracks_of(boxes), SIZE)


WRONG = {
    "shifted": np.array([[1, 0, 0, 3.0], [0, 1, 0, -2.0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    "mirrored": np.diag([-1.0, 1, 1, 1]),
    "millimetres": np.diag([0.001, 0.001, 0.001, 1]),
    "turned": np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("how", sorted(WRONG))
def test_calibrations_that_contradict_each_other_are_noticed(how: str, caplog: pytest.LogCaptureFixture) -> None:
    cameras = {n: GroundCamera.from_matrix(n, MATRICES[n]) for n in ("east", "north")}
    cameras["south"] = GroundCamera.from_matrix("south", MATRICES["south"] @ WRONG[how])
    place = GroundEvidence(cameras)
    with caplog.at_level(logging.WARNING):
        film(place, ["east", "north", "south"])
    assert {c.cameras for c in place.contradictions} == {("east", "south"), ("north", "south")}
    for found in place.contradictions:
        assert found.metres > 1.0
        assert found.mirrored == (how == "mirrored")
        assert (found.scale > 100) == (how == "millimetres")
    assert "'east' and 'south' contradict each other" in caplog.text
    assert "camera 'south' is left out" in caplog.text
    odds = place.log_odds([("east", 1), ("east", 2)], [("south", 1), ("south", 2), ("north", 1), ("north", 2)])
    assert (odds[:, :2] == 0).all()
    assert odds[0, 2] > 3 > -3 > odds[0, 3]


def test_right_calibrations_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    place = GroundEvidence({n: GroundCamera.from_matrix(n, m) for n, m in MATRICES.items()})
    with caplog.at_level(logging.WARNING):
        film(place, list(MATRICES))
    assert not place.contradictions
    assert not caplog.text


def test_pets_with_a_shifted_calibration(shared: Path) -> None:
    folder = shared / "data" / "multicam" / "pets_s2l1"
    cameras = {n: load_calibration(n, CalibrationConfig(file=str(folder / f"View_{n}.xml"))) for n in ("001", "005")}
    rows = {
        "001": np.loadtxt(folder / "gt_cam001.txt", delimiter=","),
        "005": np.loadtxt(folder / "gt_cam005_derived.txt", delimiter=","),
    }
    for shift, wrong in (((0.0, 0.0), False), ((2.0, 3.0), True)):
        check = CalibrationCheck()
        for frame in range(1, 76):
            for name, table in rows.items():
                own = table[(table[:, 0] == frame) & (table[:, 6] > 0)]
                feet = cameras[name].to_plane(np.stack([own[:, 2] + own[:, 4] / 2, own[:, 3] + own[:, 5]], 1))
                check.observe(
                    name, frame, own[:, 1].astype(np.int64), feet + (np.array(shift) if name == "005" else 0.0)
                )
        assert bool(check.found) == wrong
        if wrong:
            assert check.found["001", "005"].metres == pytest.approx(np.hypot(*shift), abs=0.6)


def test_the_camera_that_contradicts_most_is_left_out() -> None:
    pairs = [("a", "c"), ("b", "c"), ("c", "d")]
    assert worst({p: Contradiction(p, 2.0, False, 1.0) for p in pairs}) == {"c"}
    assert worst({}) == set()


@pytest.mark.parametrize("by", [3600.0, -3600.0, -7.0, 25.0])
def test_a_clock_that_jumps_breaks_nothing(by: float, caplog: pytest.LogCaptureFixture) -> None:
    place = GroundEvidence({n: GroundCamera.from_matrix(n, MATRICES[n]) for n in ("east", "south")})
    with caplog.at_level(logging.WARNING):
        film(place, ["east", "south"], {"south": (12.0, by)})
    assert caplog.text.count("its clock jumped by") == 1
    assert f"camera 'south': its clock jumped by {by:+.1f} s" in caplog.text or abs(by) < 100
    seen = place.positions("south", 29.75 + by, np.arange(4))
    assert np.linalg.norm(seen - walkers(29.75), axis=1).max() < 0.35
    rows = place.finish({("east", k): (k, 1.0) for k in range(1, 5)} | {("south", k): (k, 1.0) for k in range(1, 5)})
    assert {who for _, who, _, _ in rows} == {1, 2, 3, 4}
    assert max(time for time, _, _, _ in rows) == pytest.approx(29.75, abs=0.6)


def test_all_cameras_silent_for_a_while_is_no_jump(caplog: pytest.LogCaptureFixture) -> None:
    clocks = FrameOrder()
    times = [*np.arange(0, 10, 0.25), *np.arange(40, 50, 0.25)]
    with caplog.at_level(logging.WARNING):
        steady = [(t, clocks.steady(name, t)) for t in times for name in ("a", "b")]
    assert not caplog.text
    assert sum(abs(t - s) > 1e-9 for t, s in steady) == 1  # the first frame after the silence cannot know


def test_one_camera_silent_for_a_while_is_no_jump(caplog: pytest.LogCaptureFixture) -> None:
    clocks = FrameOrder()
    with caplog.at_level(logging.WARNING):
        for t in np.arange(0, 60, 0.25):
            assert clocks.steady("a", t) == t
            if not 10 < t < 40:
                assert clocks.steady("b", t) == t
    assert not caplog.text


def assignments(
    gains: list[np.ndarray], window: float, base: list[float] | None = None, most: int = 1000
) -> list[tuple[float, int, list[int]]]:
    """Worth, list, and box of each person, of lists that each say what every box is worth to every person."""
    size = np.array([len(gain) for gain in gains])
    gain = np.concatenate(gains)
    box = np.broadcast_to(np.arange(gain.shape[1]), gain.shape)
    offers = Offers(gain, box, gain.shape[1], np.repeat(np.arange(len(gains)), size), np.cumsum(size) - size)
    kept = likeliest(offers, np.array(base or [0.0] * len(gains)), most, window)
    owned = np.split(kept.owned(offers.begin, size)[1], np.cumsum(size[kept.number])[:-1])
    return [
        (worth, number, box.tolist())
        for worth, number, box in zip(kept.worth.tolist(), kept.number.tolist(), owned, strict=True)
    ]


def test_assignments_come_with_those_that_are_nearly_as_good() -> None:
    gain = np.array([[5.0, 4.5, -2.0], [4.8, 4.0, -3.0]])
    found = [(round(worth, 6), owner) for worth, _, owner in assignments([gain], 2.0)]
    assert found[0] == (9.3, [1, 0])
    assert (9.0, [0, 1]) in found
    assert all(worth >= 7.3 for worth, _ in found)
    for worth, owner in found:
        assert worth == pytest.approx(sum(gain[p, b] for p, b in enumerate(owner) if b >= 0))
    assert [owner for _, _, owner in assignments([np.full((2, 1), -3.0)], 1.0)] == [[-1, -1]]
    assert [len(owner) for _, _, owner in assignments([np.zeros((0, 4))], 1.0)] == [0]


def test_the_likeliest_assignments_of_several_lists() -> None:
    gain, bases = np.array([[5.0, 4.5, -2.0], [4.8, 4.0, -3.0]]), [-0.1, 0.0, -9.0]
    every = sorted(
        [
            (-worth, number, owner)
            for number, base in enumerate(bases)
            for worth, _, owner in assignments([gain], 2.0, [base])
        ]
    )
    found = assignments([gain] * 3, 10.0, bases, most=3)
    assert [(-worth, number, owner) for worth, number, owner in found] == every[:3]
    assert {number for _, number, _ in assignments([gain] * 3, 2.0, bases)} == {0, 1}


def nearly_best(gain: np.ndarray, window: float) -> set[tuple[float, tuple[int, ...]]]:
    """By trying all assignments: the best, and those that differ from it in one person, or in two who exchange boxes or
    of whom one takes the other's."""
    people, boxes = gain.shape
    every = [
        (round(sum(gain[p, b] for p, b in enumerate(owner) if b >= 0), 6), owner)
        for owner in product(range(-1, boxes), repeat=people)
        if len({b for b in owner if b >= 0}) == sum(b >= 0 for b in owner)
    ]
    worth, best = max(every)

    def near(owner: tuple[int, ...]) -> bool:
        changed = [p for p in range(people) if owner[p] != best[p]]
        took = [p for p in changed if owner[p] >= 0 and owner[p] in best]
        return len(changed) < 2 or (len(changed) == 2 and bool(took))

    return {(value, owner) for value, owner in every if value > worth - window and near(owner)}


def test_assignments_are_those_of_trying_all() -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        gain = rng.normal(0, 4, (rng.integers(1, 5), rng.integers(1, 5)))
        window = 3.0
        found = {(round(worth, 6), tuple(owner)) for worth, _, owner in assignments([gain], window)}
        every = nearly_best(gain, window)
        assert max(found) == max(every)
        assert found <= every
        # Who takes a box passes on the best that is free: worse ones are left out.
        left = [owner for _, owner in every - found]
        best = max(every)[1]
        assert all(sum(a != b for a, b in zip(owner, best, strict=True)) == 2 for owner in left)


def crowd(settings: GroundSettings) -> int:
    """Six people in a small room, the boxes of hidden people missing: how many numbers they get in all."""
    true = {n: GroundCamera.from_matrix(n, m) for n, m in MATRICES.items()}
    tracker = GroundTracker(dict(true), settings)
    rng = np.random.default_rng(1)
    for step in range(100):
        points = 0.6 * walkers(step / 4, 6)
        for name, camera in true.items():
            boxes = body_boxes(camera, np.concatenate([points, np.linspace(1.55, 1.85, 6)[:, None]], 1)) + rng.normal(
                0, 3, (6, 4)
            )
            tracker.observe(name, step / 4, boxes[rng.uniform(size=6) > 0.15], SIZE)
    return len(tracker.finish())


def test_a_crowd_keeps_its_numbers() -> None:
    assert crowd(GroundSettings()) == 6


def test_settings_of_the_ground() -> None:
    east, config = (
        {"east": GroundCamera.from_matrix("east", MATRICES["east"])},
        GroundConfig(hypotheses=40, heights=(0.5, 2.0), cameras=2),
    )
    settings = GroundEvidence(east, config).tracker.settings
    assert (settings.hypotheses, settings.heights, settings.cameras) == (40, (0.5, 2.0), 2)
    assert GroundEvidence(east, config, live=True).tracker.settings.hypotheses == 3
    for bad in ({"heights": [2.0, 1.0]}, {"hypotheses": 0}, {"share": 1.5}, {"acceleration": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            Config.from_dict({"cameras": [{"name": "a", "uri": "a.mp4"}], "ground": bad})


def test_calibrations_that_agree_cost_the_same_however_long_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    together = calibration_check._together

    def counting(clouds: list, *how: object) -> tuple[int, list[float]]:
        counted.append(len(clouds))
        return together(clouds, *how)

    monkeypatch.setattr(calibration_check, "_together", counting)
    check, ids, after = CalibrationCheck(), np.arange(4), []
    for moment in range(900):  # more than are remembered
        points = np.stack([np.arange(4.0) + moment / 100, np.arange(4.0) ** 2], 1)
        for camera in ("east", "north", "south"):
            assert check.observe(camera, moment, ids, points) == []
        after.append(sum(counted))
    assert after[-1] <= 3 * 900 * 1.1  # each moment once per pair
    assert after[899] - after[799] <= 1.1 * (after[299] - after[199])
