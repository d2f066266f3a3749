"""The closed-form filter against the textbook matrix form, and against varying frame rates."""

import numpy as np
import pytest

from streamreid.tracking.motion import MotionFilter, MotionNoise


def matrix_filter(zs, dts, noise, scores):
    """Kalman filter of one coordinate (cx) written with matrices, as an independent reference."""
    h = 100.0
    x = np.array([zs[0], 0.0])
    p = np.diag([(h * noise.measurement) ** 2, (h * noise.velocity) ** 2])
    for z, dt, score in zip(zs[1:], dts, scores, strict=True):
        f = np.array([[1, dt], [0, 1]])
        q = (h * noise.acceleration) ** 2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        x, p = f @ x, f @ p @ f.T + q
        s = p[0, 0] + (h * noise.measurement * (1 + 2 * (1 - score))) ** 2
        k = p[:, 0] / s
        x = x + k * (z - x[0])
        p = p - np.outer(k, p[0])
    return x, p


def box(cx, h=100.0, w=40.0, cy=200.0):
    return np.array([[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]], np.float32)


def test_agrees_with_the_matrix_form():
    rng = np.random.default_rng(0)
    zs = np.cumsum(rng.normal(3, 1, 12)) + 50
    dts = rng.uniform(0.02, 0.5, 11)
    scores = rng.uniform(0.3, 1, 11)
    noise = MotionNoise(size=0.0)
    f = MotionFilter(noise, history=True)
    f.add(box(zs[0]))
    for z, dt, score in zip(zs[1:], dts, scores, strict=True):
        f.predict(dt, np.zeros(1, bool))
        f.update(np.array([0]), box(z), np.array([score], np.float32))
    x, p = matrix_filter(zs, dts, noise, scores)
    b = f.boxes[0]
    assert (b[0] + b[2]) / 2 == pytest.approx(x[0], rel=1e-4)
    assert f.velocities[0, 0] == pytest.approx(x[1], rel=1e-3)
    assert f.step(np.array([0])).spread[0, 0] == pytest.approx([p[0, 0], p[0, 1], p[1, 1]], rel=1e-3)


@pytest.mark.parametrize("dt", [0.04, 0.1, 0.5])
def test_learns_a_constant_velocity_at_any_frame_rate(dt):
    f = MotionFilter()
    f.add(box(0.0))
    for i in range(1, int(6 / dt)):
        f.predict(dt, np.zeros(1, bool))
        f.update(np.array([0]), box(50.0 * i * dt), np.ones(1, np.float32))
    assert f.velocities[0, 0] == pytest.approx(50.0, abs=1.5)


def test_an_unseen_track_slows_down_but_does_not_jump():
    f = MotionFilter(MotionNoise(damping=1.0))
    f.add(box(0.0))
    for i in range(1, 100):
        f.predict(0.1, np.zeros(1, bool))
        f.update(np.array([0]), box(10.0 * i), np.ones(1, np.float32))
    start, velocity = (f.boxes[0, 0] + f.boxes[0, 2]) / 2, f.velocities[0, 0]
    assert velocity > 50
    for _ in range(200):
        f.predict(0.1, np.ones(1, bool))
    travelled = (f.boxes[0, 0] + f.boxes[0, 2]) / 2 - start
    assert travelled == pytest.approx(velocity * 1.0, rel=0.01)  # velocity * time constant
    assert abs(f.velocities[0, 0]) < 1e-3


def test_doubt_grows_while_unseen():
    f = MotionFilter()
    f.add(box(0.0))
    doubts = []
    for _ in range(5):
        f.predict(0.2, np.ones(1, bool))
        doubts.append(float(f.deviations[0]))
    assert doubts == sorted(doubts)
    assert doubts[-1] > doubts[0]


def test_boxes_between_two_detections_are_followed_as_if_they_were_twice_as_exact():
    start, box = np.array([[100, 100, 140, 200]], np.float32), np.array([[110, 104, 150, 204]], np.float32)
    carried, exact = MotionFilter(), MotionFilter(MotionNoise(measurement=0.02, measurement_size=0.075))
    for motion in (carried, exact):
        motion.add(start)
        motion._state[2:] = 1.0  # the same doubt about the prediction
    carried.update(np.array([0]), box, np.array([0.7], np.float32), detected=False)
    exact.update(np.array([0]), box, np.array([0.7], np.float32))
    np.testing.assert_array_equal(carried.boxes, exact.boxes)
