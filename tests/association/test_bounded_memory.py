"""What is kept of people who have gone: little while they are remembered, nothing afterwards."""

import gc
import tracemalloc

import numpy as np
import pytest

from streamreid.association import Associator
from streamreid.config import AssociationConfig
from streamreid.features.similarity import Calibration
from streamreid.types import PartFeatures, Tracks

PARTS, DIM = 6, 256
CROWD = 4  # people in view at a time
SECONDS = 2.0


def looks(rng):
    parts = rng.normal(size=(CROWD, PARTS, DIM)).astype(np.float32)
    return parts / np.linalg.norm(parts, axis=2, keepdims=True)


def pass_by(associator, rng, groups, *, first):
    """Groups of strangers, one after the other; each is seen four times within two seconds, from three sides."""
    boxes, rows = np.zeros((CROWD, 4), np.float32), np.arange(CROWD)
    visible, quality = np.ones((CROWD, PARTS), np.float32), np.ones(CROWD, np.float32)
    for group in range(first, first + groups):
        sides = [looks(rng) for _ in range(3)]
        here = Tracks(rows + CROWD * group, boxes, quality, rows)
        for step in range(4):
            now = SECONDS * group + 0.3 * step
            associator.observe("a", now, here, PartFeatures(sides[step % 3], visible), quality)
        associator.step(force=True)


def bytes_now():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_nothing_is_kept_of_people_who_are_no_longer_remembered(traced):
    """Also not by the tables beside the book of identities, which are as large as the window and the remembered people
    need."""
    associator, rng = Associator(AssociationConfig(window=10, memory=20), Calibration()), np.random.default_rng(0)
    pass_by(associator, rng, 50, first=0)  # tables have their size
    people, before = associator.people, bytes_now()
    pass_by(associator, rng, 60, first=50)
    assert associator.people == people < 30 * CROWD
    assert bytes_now() - before < 200 * 60 * CROWD  # bytes per person who came and went; their views alone are 18 KB


def test_remembered_people_take_a_few_kilobytes(traced):
    associator, rng = Associator(AssociationConfig(window=10, memory=1e6), Calibration()), np.random.default_rng(0)
    pass_by(associator, rng, 20, first=0)
    people, before = associator.people, bytes_now()
    pass_by(associator, rng, 50, first=20)
    assert associator.people - people == 50 * CROWD
    each = (bytes_now() - before) / (50 * CROWD)
    assert 3 * PARTS * DIM * 2 < each < 13_000  # three views of two bytes a value, and little else


def test_more_people_than_allowed_are_not_remembered():
    associator, rng = (
        Associator(AssociationConfig(window=10, memory=1e6, max_identities=100), Calibration()),
        np.random.default_rng(0),
    )
    pass_by(associator, rng, 60, first=0)
    assert 50 < associator.people <= 100
