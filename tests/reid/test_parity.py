"""Verification finds what is wrong with an engine, says it, and passes one that is right."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.compiling.records import DeviceFingerprint, ParityReport, Thresholds, default_thresholds
from streamreid.errors import DataError
from streamreid.reid.parity import batch_sizes, compare, judge, measure, widened
from streamreid.reid.probe_set import Probe, generated_probe, read_probe
from streamreid.types import PartFeatures

HERE = DeviceFingerprint(library="test")


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


@dataclass
class Pretended:
    """An engine whose features are random projections of the crop; ``wrong`` changes them, given the size of the
    batch."""

    wrong: object = None
    seen: list[int] = field(default_factory=list)

    def embed(self, crops: np.ndarray) -> PartFeatures:
        self.seen.append(len(crops))
        rng = np.random.default_rng(3)
        flat = crops.reshape(len(crops), -1).astype(np.float64) / 255 - 0.5
        parts = unit((flat @ rng.normal(size=(flat.shape[1], 4 * 16))).reshape(-1, 4, 16))
        visibility = np.clip(np.abs(flat[:, :4]) * 2, 0.2, 1).astype(np.float32)
        features = PartFeatures(parts, visibility)
        return features if self.wrong is None else self.wrong(features)


def report(
    wrong=None, batches=(1, 2, 5), probe: Probe | None = None, score=None, limits: Thresholds | None = None
) -> ParityReport:
    probe = probe or Probe(np.random.default_rng(0).integers(0, 256, (30, 8, 4, 3), dtype=np.uint8), "noise")
    found = measure(
        Pretended(), Pretended(wrong), probe, batches=batches, machine=HERE, reference_name="itself", score=score
    )
    return judge(found, limits or default_thresholds("fp16"))


def test_an_engine_is_itself():
    found = report()
    assert found.passed
    assert min(found.cosine_p01) > 0.99999
    assert (found.visibility_error, found.rank_agreement, found.batches) == (0.0, 1.0, (1, 2, 5))


def test_the_reference_sees_crops_one_by_one_and_the_engine_all_sizes():
    engine, reference = Pretended(), Pretended()
    probe = Probe(np.zeros((7, 8, 4, 3), np.uint8), "grey")
    measure(reference, engine, probe, batches=(1, 3, 8), machine=HERE, reference_name="r")
    assert reference.seen == [1] * 7
    assert engine.seen == [1] * 7 + [3, 3, 1] + [7]


def mean_over_the_batch(f: PartFeatures) -> PartFeatures:
    """As a compiler once did: right for single crops, rows mixed for more."""
    return PartFeatures(f.parts, np.broadcast_to(f.visibility.mean(0), f.visibility.shape).copy())


def first_row_for_all(f: PartFeatures) -> PartFeatures:
    return PartFeatures(f.parts[[0] * len(f)], f.visibility)


def one_part_lost(f: PartFeatures) -> PartFeatures:
    parts = f.parts.copy()
    parts[:, 2] = 0
    return PartFeatures(parts, f.visibility)


def not_a_number(f: PartFeatures) -> PartFeatures:
    return PartFeatures(np.full_like(f.parts, np.nan), f.visibility)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (mean_over_the_batch, r"visibility is off by 0\.\d+, more than 0\.02 \(batch [25]\)"),
        (first_row_for_all, r"median cosine \(batch [25]\) is .* below 0\.999"),
        (one_part_lost, r"median cosine .* is 0\.0000"),
        (not_a_number, r"median cosine .* is 0\.0000"),
    ],
)
def test_what_is_wrong_is_found_and_said(wrong, says):
    import re

    found = report(wrong)
    assert not found.passed
    assert any(re.search(says, failure) for failure in found.failures), found.failures
    if wrong in (mean_over_the_batch, first_row_for_all):
        assert report(wrong, batches=(1,)).passed  # one size alone would not have found it


def test_the_largest_batch_and_one_more_are_among_the_sizes():
    assert batch_sizes(32) == (1, 2, 3, 17, 32, 33)
    assert batch_sizes(1) == (1, 2, 3)


def test_a_labelled_probe_tells_what_happens_to_the_ranking():
    probe = Probe(
        np.random.default_rng(0).integers(0, 256, (6, 8, 4, 3), dtype=np.uint8),
        "six",
        np.array([1, 1, 2, 2, 3, 3]),
        np.array([1, 2] * 3),
    )
    fixed = iter([(0.9, 0.8), (0.9, 0.78)])
    found = report(probe=probe, score=lambda similarity, p: next(fixed))
    assert (found.r1, found.map) == ((0.9, 0.9), (0.8, 0.78))
    assert found.failures == ("mAP falls from 0.8000 to 0.7800, by more than 0.005",)
    assert report(probe=probe, score=lambda similarity, p: None).map is None


def test_parts_that_the_reference_does_not_see_do_not_count():
    a = PartFeatures(unit(np.random.default_rng(0).normal(size=(5, 2, 8))), np.array([[1, 0.01]] * 5, np.float32))
    parts = a.parts.copy()
    parts[0, 1] *= -1
    half = a.visibility.copy()
    half[1:, 1] = 1
    b = PartFeatures(a.parts, half)
    assert compare(b, PartFeatures(parts, half)).p01[1] > 0.999  # the changed one is covered
    assert compare(a, PartFeatures(parts, a.visibility)).p01[1] < 0  # nobody is seen: all count


@given(st.floats(0.0, 0.2), st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_wider_thresholds_never_refuse_more(error, cosine):
    limits = default_thresholds("int8")
    base = ParityReport(
        probe="p",
        count=1,
        cosine_median=(cosine,),
        cosine_p01=(cosine,),
        visibility_error=error,
        rank_agreement=cosine,
        machine=HERE,
        reference="r",
    )
    assert len(judge(base, widened(limits)).failures) <= len(judge(base, limits).failures)


class TestProbe:
    def test_drawn_figures_are_the_same_every_time_and_all_different(self):
        a, b = generated_probe((64, 32)), generated_probe((64, 32))
        np.testing.assert_array_equal(a.crops, b.crops)
        assert a.crops.shape == (48, 64, 32, 3)
        assert len(np.unique(a.crops.reshape(48, -1), axis=0)) == 48

    def test_names_say_who_is_shown(self, tmp_path):
        for name in ("0001_c1s1_1.jpg", "0001_c2s1_2.jpg", "0002_c1s1_3.jpg", "-1_c1s1_4.jpg"):
            cv2.imwrite(str(tmp_path / name), np.full((20, 10, 3), 99, np.uint8))
        probe = read_probe(tmp_path, (64, 32))
        assert probe.persons.tolist() == [1, 1, 2]
        assert probe.cameras.tolist() == [1, 2, 1]
        assert read_probe(tmp_path, (64, 32), most=2).persons.tolist() in ([1, 1], [2])

    def test_other_names_and_damaged_files(self, tmp_path):
        (tmp_path / "sub").mkdir()
        cv2.imwrite(str(tmp_path / "sub" / "a.png"), np.zeros((5, 5, 3), np.uint8))
        (tmp_path / "b.jpg").write_bytes(b"no picture")
        probe = read_probe(tmp_path, (64, 32))
        assert (len(probe), probe.persons) == (1, None)

    def test_nothing_to_see(self, tmp_path):
        with pytest.raises(DataError, match="no readable picture"):
            read_probe(tmp_path, (64, 32))
        with pytest.raises(DataError, match="no such folder"):
            read_probe(tmp_path / "none", (64, 32))
