"""The two-GEMM similarity against the sum over parts written as it stands in the paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.errors import EngineMismatchError
from streamreid.features.similarity import Calibration, SiteCalibration, part_similarity
from streamreid.types import PartFeatures


def people(rng, n, k, d):
    parts = rng.normal(size=(n, k, d)).astype(np.float32)
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    return PartFeatures(parts, (rng.random((n, k)) * (rng.random((n, k)) > 0.3)).astype(np.float32))


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 6), st.integers(1, 9), st.integers(0, 999))
def test_equals_the_sum_over_parts(n, m, k, d, seed):
    rng = np.random.default_rng(seed)
    a, b = people(rng, n, k, d), people(rng, m, k, d)
    similarity, common = part_similarity(a, b)
    assert similarity.shape == common.shape == (n, m)
    for i in range(n):
        for j in range(m):
            w = np.sqrt(a.visibility[i].astype(float) * b.visibility[j])
            dot = (a.parts[i].astype(float) * b.parts[j]).sum(1)
            expected = (w * dot).sum() / w.sum() if w.sum() > 1e-6 else 0.0
            assert similarity[i, j] == pytest.approx(expected, abs=1e-5)
            assert common[i, j] == pytest.approx(w.sum() / k, abs=1e-5)


def test_by_hand():
    a = PartFeatures(np.array([[[1, 0], [0, 1]]], np.float32), np.array([[1.0, 0.25]], np.float32))
    b = PartFeatures(np.array([[[0.6, 0.8], [0, 1]]], np.float32), np.array([[1.0, 1.0]], np.float32))
    similarity, common = part_similarity(a, b)
    assert similarity[0, 0] == pytest.approx((0.6 + 0.5 * 1.0) / 1.5)
    assert common[0, 0] == pytest.approx(0.75)


def test_nothing_in_common_is_no_evidence():
    parts = np.ones((1, 2, 1), np.float32)
    a = PartFeatures(parts, np.array([[1, 0]], np.float32))
    b = PartFeatures(parts, np.array([[0, 1]], np.float32))
    similarity, common = part_similarity(a, b)
    assert similarity[0, 0] == common[0, 0] == 0.0


def test_features_of_two_engines_are_refused():
    with pytest.raises(EngineMismatchError, match="6 parts of 256 values against 1 of 512"):
        part_similarity(PartFeatures.unseen(1, 6, 256), PartFeatures.unseen(1, 1, 512))


def test_calibration_is_a_sigmoid_and_never_overflows():
    calibration = Calibration(slope=10.0, intercept=-5.0)
    assert calibration.probability(np.array([0.5, 0.7])) == pytest.approx([0.5, 1 / (1 + np.exp(-2.0))])
    assert np.isfinite(Calibration(slope=1e6).probability(np.array([-1.0, 1.0]))).all()


def crowd(rng, n, level, d=64):
    """n different people whose mutual similarity is about ``level``."""
    common = np.sqrt(level) * np.eye(1, d)
    own = rng.normal(size=(n, d))
    own[:, 0] = 0
    own *= np.sqrt(1 - level) / np.linalg.norm(own, axis=1, keepdims=True)
    return PartFeatures((common + own)[:, None].astype(np.float32), np.ones((n, 1), np.float32))


def row_of_boxes(n, step=50.0):
    left = np.arange(n) * step
    return np.stack([left, np.zeros(n), left + 40, np.full(n, 100.0)], 1).astype(np.float32)


def test_site_calibration_moves_with_the_level_of_different_people():
    base = Calibration(slope=30.0, intercept=-12.0, impostor_mean=0.2, impostor_deviation=0.1)
    site = SiteCalibration(base)
    assert site.probability(np.array([0.4])) == pytest.approx(base.probability(np.array([0.4])), abs=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(300):
        site.observe(crowd(rng, 6, 0.5), row_of_boxes(6))
    found = site.calibration
    assert found.impostor_mean == pytest.approx(0.5, abs=0.02)
    # Even odds stay as many deviations above different people as they were: 0.2 + 2 * 0.1 there.
    ratio = 0.1 / found.impostor_deviation
    even = -found.intercept / found.slope
    assert even == pytest.approx(found.impostor_mean + 0.2 / ratio, abs=1e-4)
    assert site.probability(np.array([0.5]))[0] < 0.05


def test_site_calibration_does_not_listen_to_touching_boxes_nor_without_reference():
    base = Calibration(slope=30.0, intercept=-12.0, impostor_mean=0.2, impostor_deviation=0.1)
    site, bare = SiteCalibration(base), SiteCalibration(Calibration(slope=30.0, intercept=-12.0))
    rng = np.random.default_rng(0)
    for _ in range(50):
        site.observe(crowd(rng, 4, 0.6), row_of_boxes(4, step=20.0)[:2].repeat(2, 0))
        bare.observe(crowd(rng, 4, 0.6), row_of_boxes(4))
        site.observe(PartFeatures.unseen(3, 1, 64), row_of_boxes(3))
    assert site.calibration.impostor_mean == pytest.approx(0.2)
    assert bare.calibration == Calibration(slope=30.0, intercept=-12.0)


def test_site_calibration_follows_a_change_and_forgets():
    site = SiteCalibration(
        Calibration(slope=30.0, intercept=-12.0, impostor_mean=0.2, impostor_deviation=0.1), memory=1000
    )
    rng = np.random.default_rng(0)
    for level in (0.5, 0.1):
        for _ in range(600):
            site.observe(crowd(rng, 6, level), row_of_boxes(6))
    assert site.calibration.impostor_mean == pytest.approx(0.1, abs=0.03)
