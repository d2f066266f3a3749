"""The verbs train, parse-labels, export and evaluate reid, from the command line's side."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamreid.cli import app
from streamreid.errors import ConfigError, DataError
from tests.support.training_data import make_folder


def test_parse_labels_labels_people_and_leaves_the_rest_out(tmp_path: Path, shared: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "0001_c1s1_000000_00.png"), np.full((128, 64, 3), 120, np.uint8))
    (tmp_path / "images" / "0002_c1s1_000000_00.jpg").write_bytes(b"broken")
    model = shared / "data" / "weights" / "bodypix_mobilenetv1_050_stride16.onnx"
    arguments = ["parse-labels", str(tmp_path / "images"), "--out", str(tmp_path / "labels"), "--model", str(model)]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert "0 written, 0 kept from before, 2 left out" in found.output
    assert "unreadable image" in found.output
    assert "is a person" in found.output


def test_parse_labels_names_a_missing_folder(tmp_path: Path) -> None:
    found = CliRunner().invoke(
        app, ["parse-labels", str(tmp_path / "none"), "--out", str(tmp_path), "--model", "x.onnx"]
    )
    assert isinstance(found.exception, DataError)
    assert "no such folder" in str(found.exception)


def test_a_wrong_recipe_names_line_and_key(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("lightning")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "data:\n  - images: a\n    labels: b\nnetwork:\n  backbone: resnet50\nschedule:\n  stepps: 5\nout: here\n"
    )
    found = CliRunner().invoke(app, ["train", str(path)])
    assert isinstance(found.exception, ConfigError)
    assert ":7" in str(found.exception)
    assert "steps" in str(found.exception)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # minutes on two cores without bfloat16
def test_from_pictures_to_scores(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("lightning")
    pytest.importorskip("matplotlib")
    pytest.importorskip("timm")
    data = make_folder(tmp_path / "data", people=6)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"data:\n  - {{images: {data.images}, labels: {data.labels}, validation: 3}}\n"
        "network: {backbone: test_resnet, dim: 16, visibility: area, grader: true}\n"
        f"size: [128, 64]\nschedule: {{steps: 2, people: 2, pictures: 2}}\nout: {tmp_path / 'out'}\ncompile: false\n"
        "precision: 32-true\nimprint: false\n"
    )
    runner = CliRunner()
    found = runner.invoke(app, ["train", str(recipe), "--quiet"])
    assert found.exit_code == 0, found.output
    assert all(
        (tmp_path / "out" / name).exists()
        for name in ("last.pt", "best.pt", "log.csv", "report/parts.png", "report/curves.png")
    )
    bundle = tmp_path / "bundle"
    found = runner.invoke(app, ["export", str(tmp_path / "out" / "last.pt"), "--out", str(bundle)])
    assert found.exit_code == 0, found.output
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert manifest["parts"] == ["foreground", "head", "torso", "arms", "legs", "feet"]
    assert manifest["outputs"]["extra"] == {"occlusion": "occlusion"}
    assert "held out of training" in manifest["calibration"]["source"]
    for name in ("query", "bounding_box_test"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for number, path in enumerate(sorted(Path(data.images).iterdir())):
        folder = "query" if number % 3 == 0 else "bounding_box_test"
        (tmp_path / "set" / folder / path.name).symlink_to(path)
    found = runner.invoke(app, ["evaluate", "reid", str(bundle), str(tmp_path / "set"), "--json", "--rerank"])
    assert found.exit_code == 0, found.output
    scores = json.loads(found.output)["scores"]
    assert set(scores["parts"]) == {"clean", "patch", "person", "reranked"}
    assert 0 < scores["parts"]["clean"]["mAP"] <= 1
