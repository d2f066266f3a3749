"""Grades and the choice of gallery variants, by hand."""

import numpy as np
import pytest

from streamreid.config import EngineConfig
from streamreid.errors import ConfigError
from streamreid.evaluation.papers.occlusion_unification import Unifier, grade, unified_similarity
from streamreid.reid.bundle import load_bundle
from streamreid.reid.factory import shipped_engines
from streamreid.types import PartFeatures


def test_grades_by_hand() -> None:
    scores = np.array(
        [
            [0.25, 0.25, 0.25, 0.25],
            [0.5, 0.2, 0.2, 0.1],
            [0.1, 0.6, 0.2, 0.1],
            [0.1, 0.1, 0.05, 0.75],
            [0.02, 0.02, 0.9, 0.06],
            [0.51, 0.2, 0.2, 0.09],
        ],
        np.float32,
    )
    # Order of variants: none, left 1/4, left 1/2, right 1/4, right 1/2, bottom 1/4, bottom 1/2, top 1/4, top 1/2.
    assert grade(scores).tolist() == [0, 0, 3, 7, 6, 1]


def test_every_query_meets_its_variant() -> None:
    query = PartFeatures(np.eye(3, dtype=np.float32)[:, None], np.ones((3, 1), np.float32))
    same, first = (
        query,
        PartFeatures(np.tile(np.eye(3, dtype=np.float32)[:1, None], (3, 1, 1)), np.ones((3, 1), np.float32)),
    )
    found = unified_similarity(query, np.array([0, 4, 0]), [same, same, same, same, first])
    assert found.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_a_bundle_without_grader_is_named() -> None:
    bundle = load_bundle(shipped_engines()["pab-osnet-small"])
    if "occlusion" in bundle.manifest.outputs.extra:
        pytest.skip("the shipped engine has a grader")
    with pytest.raises(ConfigError, match="no grader"):
        Unifier(bundle, EngineConfig())
