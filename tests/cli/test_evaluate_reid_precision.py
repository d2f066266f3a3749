"""``streamreid evaluate reid --precision``: the engine is scored in the precision asked for, and the result says
which."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamreid.cli import app


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for person in (1, 2):
        look = rng.integers(0, 256, (16, 8, 3), dtype=np.uint8)
        for camera, folder in ((1, "query"), (2, "bounding_box_test")):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture = cv2.resize(look, (64, 128), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(tmp_path / folder / f"{person:04d}_c{camera}s1_000001_00.jpg"), picture)
    return tmp_path


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_the_result_says_what_was_computed(dataset: Path, precision: str) -> None:
    result = CliRunner().invoke(
        app,
        [
            "evaluate",
            "reid",
            "pab-osnet-small",
            str(dataset),
            "--runtime",
            "openvino",
            "--precision",
            precision,
            "--json",
        ],
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["runtime"], found["precision"]) == ("openvino", precision)
    assert found["scores"]["parts"]["clean"]["R1"] == 1.0


def test_an_unknown_precision_is_named(dataset: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "reid", "pab-osnet-small", str(dataset), "--precision", "int4"])
    assert result.exit_code != 0
    assert "int4" in str(result.output) + str(result.exception)
