"""``streamreid synth``, and recordings of boxes only, as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A Market-1501-style folder of drawn people; those of the training part must not be used."""
    rng = np.random.default_rng(0)
    for part, numbers in (("query", (1, 2, 3)), ("bounding_box_test", (1, 2, 3, 4)), ("bounding_box_train", (9,))):
        folder = tmp_path / "people" / part
        folder.mkdir(parents=True)
        for person in numbers:
            for camera in (1, 2):
                image = rng.normal(120, 6, (128, 48, 3)).clip(0, 255).astype(np.uint8)
                cv2.rectangle(image, (13, 6), (35, 124), (40 * person, 255 - 50 * person, 20 * camera), -1)
                cv2.imwrite(str(folder / f"{person:04d}_c{camera}s1_00000{len(part)}_00.png"), image)
    return tmp_path / "people"


@pytest.mark.slow
def test_a_scene_is_made_followed_and_scored(people: Path, tmp_path: Path, call: Call) -> None:
    scene, out = tmp_path / "scene", tmp_path / "out"
    code, text, _ = call(
        "synth", people, "-o", scene, "--people", 4, "--cameras", 2, "--overlap", 1, "--seconds", 12, "--size", "384x216", "--visits", 1, "--linger", 3
    )  # fmt: skip
    assert code == 0
    assert "next: streamreid run" in text
    assert {name.split("/")[1] for name in json.loads((scene / "scene.json").read_text())["people"].values()} <= {
        "0001",
        "0002",
        "0003",
        "0004",
    }
    code, _, _ = call("run", "-s", scene / "cams.yaml", "--detector", f"mot:{scene / 'detections'}", "--engine", "none", "-o", out, "-q")
    assert code == 0
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    placed = [line for line in lines if line["type"] == "person" and "world" in line]
    assert len(placed) > 20
    code, text, _ = call("evaluate", "world", out / "world.txt", scene / "world.txt", "--json")
    assert code == 0
    assert json.loads(text)["scores"]["mota"] > 0.4
    code, _, errors = call("synth", people, "-o", scene)
    assert code == 2
    assert "--overwrite" in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--people", 50], "only 4 of 4 could be cut out"),
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--level", "hard"], "--level"),
        (["--labels", "nowhere"], "no such folder of labels"),
        (["--cameras", 2, "--offline", 3], "cannot be off"),
    ],
)
def test_what_cannot_be_made(people: Path, tmp_path: Path, call: Call, options: list[object], message: str) -> None:
    code, _, errors = call("synth", people, "-o", tmp_path / "scene", *options)
    assert code == 2
    assert message in errors.replace("\n", " ")


def test_boxes_without_pictures(tmp_path: Path, call: Call) -> None:
    boxes = tmp_path / "cam.txt"
    boxes.write_text("".join(f"{frame},-1,{10 + frame},50,40,100,0.9\n" for frame in range(1, 31)))
    config = tmp_path / "cams.yaml"
    config.write_text(
        f"cameras: [{{name: cam, uri: cam.txt, fps: 10, size: [640, 480]}}]\ndetector: {{model: 'mot:{tmp_path}'}}\nengine: {{model: none}}\n"
    )
    assert call("run", "-s", config, "-o", tmp_path / "out", "-q")[0] == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames"] == 30
    assert summary["identities"] == 1
    config.write_text(config.read_text().replace(", size: [640, 480]", ""))
    code, _, errors = call("run", "-s", config, "-o", tmp_path / "out2", "-q")
    assert code == 3
    assert "size" in errors


def test_a_calibration_that_is_not_there(tmp_path: Path, call: Call) -> None:
    config = tmp_path / "cams.yaml"
    config.write_text("cameras: [{name: cam, uri: cam.mp4, calibration: nowhere.xml}]\nengine: {model: none}\n")
    code, _, errors = call("run", "-s", config, "-o", tmp_path / "out", "-q")
    assert code == 2
    assert "nowhere.xml" in errors
