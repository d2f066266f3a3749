"""Looks are compared only with people of whom something was seen; the others say nothing."""

from __future__ import annotations

import numpy as np

from streamreid import Detections, PartFeatures
from streamreid.features.prototype_bank import PrototypeBank
from streamreid.features.similarity import Calibration
from streamreid.tracking.candidates import usable_people
from streamreid.tracking.looks import Looks

PARTS, DIM = 3, 16


def _features(rng: np.random.Generator, count: int) -> PartFeatures:
    parts = rng.normal(size=(count, PARTS, DIM)).astype(np.float32)
    return PartFeatures(
        parts / np.linalg.norm(parts, axis=2, keepdims=True),
        rng.uniform(0.3, 1.0, (count, PARTS)).astype(np.float32),
    )


def test_who_was_not_seen_is_told_nothing_and_changes_nothing_for_the_others():
    rng = np.random.default_rng(4)
    bank = PrototypeBank()
    bank.add(_features(rng, 4), np.ones(4, np.float32))
    looks = Looks(bank, Calibration(), 0.5)
    features = _features(rng, 5)
    features.visibility[[1, 3]] = 0
    boxes = [[100.0 * i, 0, 100.0 * i + 40, 90] for i in range(5)]
    people = usable_people(
        Detections.from_arrays(boxes, np.linspace(0.9, 0.5, 5)), features, least=0.1, sure=0.4, occlusion=True
    )
    tracks, numbers = (pair.ravel() for pair in np.meshgrid(np.arange(4), np.arange(5), indexing="ij"))
    found = looks.of_pairs(tracks, people, numbers)
    unseen = np.isin(numbers, [1, 3])
    for values, nothing in zip(found, (0.5, 0.5, 0.0, np.inf), strict=True):
        assert (values[unseen] == nothing).all()
    for pair in np.flatnonzero(~unseen).tolist():  # each on its own
        alone = looks.of_pairs(tracks[pair : pair + 1], people, numbers[pair : pair + 1])
        assert [float(v[0]) for v in alone] == [float(v[pair]) for v in found]
