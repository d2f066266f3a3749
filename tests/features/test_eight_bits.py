"""Features in eight bits come back bit for bit and hardly move a similarity."""

import numpy as np
import pytest

from streamreid.features.eight_bits import from_eight_bits, in_eight_bits, to_eight_bits
from streamreid.features.similarity import part_similarity
from streamreid.types import PartFeatures


@pytest.fixture
def parts(rng):
    found = rng.standard_normal((40, 6, 256)).astype(np.float32)
    found[:20] += 2 * found[20:]  # alike in pairs
    found[3, 2] = 0.0
    return found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-9)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_rounded_once_is_rounded_for_good(parts):
    rounded = in_eight_bits(parts)
    assert in_eight_bits(rounded).tobytes() == rounded.tobytes() != parts.tobytes()
    assert from_eight_bits(to_eight_bits(rounded)).tobytes() == rounded.tobytes()
    assert np.linalg.norm(rounded, axis=2).min(where=parts.any(2), initial=1.0) == pytest.approx(1.0, abs=1e-6)
    assert not rounded[3, 2].any()


def test_similarities_stay(parts):
    seen = np.ones(parts.shape[:2], np.float32)
    exact, _ = part_similarity(PartFeatures(parts, seen), PartFeatures(parts, seen))
    close, _ = part_similarity(PartFeatures(in_eight_bits(parts), seen), PartFeatures(in_eight_bits(parts), seen))
    assert np.abs(exact - close).max() < 2e-3


def test_nothing_and_one_value():
    assert in_eight_bits(np.zeros((0, 6, 256), np.float32)).shape == (0, 6, 256)
    assert in_eight_bits(np.float32([[[-0.3]]])).tolist() == [[[-1.0]]]
