"""``streamreid synth``, and recordings of boxes only, as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
        "synth",
        people,
        "-o",
        scene,
        "--people",
        4,
        "--cameras",
        2,
        "--overlap",
        1,
        "--seconds",
        12,
        "--size",
        "384x216",
        "--visits",
        1,
        "--linger",
        3,
        "--away",
        "1-2",
        "--passing",
        0.2,
    )
    assert code == 0
    assert "next: streamreid run" in text
    assert {name.split("/")[1] for name in json.loads((scene / "scene.json").read_text())["people"].values()} <= {
        "0001",
        "0002",
        "0003",
        "0004",
    }
    code, _, _ = call(
        "run",
        "-s",
        scene / "cams.yaml",
        "--detector",
        f"mot:{scene / 'detections'}",
        "--engine",
        "none",
        "-o",
        out,
        "-q",
    )
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
        (["--people", 50], "pictures of 4 only"),
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--size", "nanxinf"], "whole numbers"),
        (["--size", "767x432"], "even numbers"),
        (["--seconds", 0.01], "no frame at all"),
        (["--level", "hard"], "--level"),
        (["--away", "long"], "LEAST-MOST in seconds"),
        (["--away", "300-60"], "least and the greatest"),
        (["--labels", "nowhere"], "no such folder of labels"),
        (["--cameras", 2, "--offline", 3], "cannot be off"),
    ],
)
def test_what_cannot_be_made(people: Path, tmp_path: Path, call: Call, options: list[object], message: str) -> None:
    code, _, errors = call("synth", people, "-o", tmp_path / "scene", *options)
    assert code == 2
    assert message in errors.replace("\n", " ")
    assert not (tmp_path / "scene").exists()


def test_people_come_from_pictures_or_from_nowhere(people: Path, tmp_path: Path, call: Call) -> None:
    for options in ([], [people, "--synthetic"]):
        code, _, errors = call("synth", "-o", tmp_path / "scene", *options)
        assert code == 2
        assert "or --synthetic" in " ".join(errors.split())


def pictures(folder: Path, names: list[str]) -> Path:
    """A folder of pictures of one grey figure."""
    folder.mkdir()
    image = np.random.default_rng(0).normal(120, 6, (128, 48, 3)).clip(0, 255).astype(np.uint8)
    cv2.rectangle(image, (13, 6), (35, 124), (40, 60, 200), -1)
    for name in names:
        cv2.imwrite(str(folder / name), image)
    return folder


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no pictures"),
        (["somebody.jpg"], "somebody.jpg"),
        (
            ["0001_c1s1_000000_00.jpg", "0001_c2s1_000000_00.jpg"],
            "5 people are asked for, but there are pictures of 1 only",
        ),
        ([f"000{i}_c1s1_000000_00.jpg" for i in range(1, 8)], "nobody has pictures of two cameras"),
    ],
)
def test_folders_that_make_no_scene(tmp_path: Path, call: Call, names: list[str], message: str) -> None:
    code, _, errors = call("synth", pictures(tmp_path / "people", names), "-o", tmp_path / "scene", "--people", 5)
    assert code == 2
    assert message in errors.replace("\n", " ")
    assert not (tmp_path / "scene").exists()


def test_pictures_of_one_camera_do_for_one_camera(tmp_path: Path, call: Call) -> None:
    folder = pictures(tmp_path / "people", ["0001_c1s1_000000_00.jpg"])
    assert call("synth", folder, "-o", tmp_path / "scene", "--people", 1, "--cameras", 1, "--seconds", 1, "-q")[0] == 0
    cv2.imwrite(str(folder / "0002_c2s1_000000_00.jpg"), cv2.imread(str(folder / "0001_c1s1_000000_00.jpg")))
    cv2.imwrite(str(folder / "0002_c3s1_000000_00.jpg"), cv2.imread(str(folder / "0001_c1s1_000000_00.jpg")))
    code, _, errors = call("synth", folder, "-o", tmp_path / "two", "--people", 2, "--cameras", 2, "--seconds", 1)
    assert code == 0
    assert "1 of 2 people have pictures of one camera only" in errors.replace("\n", " ")


def test_labels_of_other_pictures(people: Path, tmp_path: Path, call: Call) -> None:
    (tmp_path / "labels").mkdir()
    code, _, errors = call("synth", people, "-o", tmp_path / "scene", "--people", 2, "--labels", tmp_path / "labels")
    assert code == 2
    assert "no label of any of the pictures" in errors.replace("\n", " ")


def test_what_is_in_the_folder_stays(people: Path, tmp_path: Path, call: Call) -> None:
    out, tiny = tmp_path / "out", ("--people", 2, "--seconds", 1, "--size", "160x120", "-q")
    out.mkdir()
    (out / "cam01.mp4").write_bytes(b"holiday")
    for option in ([], ["--overwrite"]):
        code, _, errors = call("synth", people, "-o", out, *tiny, *option)
        assert code == 2
        assert "not empty and holds no scene" in errors.replace("\n", " ")
    assert (out / "cam01.mp4").read_bytes() == b"holiday"
    assert call("synth", people, "-o", out / "scene", "--cameras", 3, *tiny)[0] == 0
    (out / "scene" / "notes.txt").write_text("mine")
    assert call("synth", people, "-o", out / "scene", "--cameras", 2, *tiny, "--overwrite", "--processes", 1)[0] == 0
    assert sorted(p.name for p in (out / "scene").glob("*.mp4")) == ["cam01.mp4", "cam02.mp4"]
    assert (out / "scene" / "notes.txt").read_text() == "mine"
    (out / "scene" / "cam03.mp4").write_bytes(b"holiday")
    code, _, errors = call("synth", people, "-o", out / "scene", "--cameras", 3, *tiny, "--overwrite")
    assert code == 2
    assert "holds cam03.mp4" in errors.replace("\n", " ")


def test_boxes_without_pictures(tmp_path: Path, call: Call) -> None:
    boxes = tmp_path / "cam.txt"
    boxes.write_text("".join(f"{frame},-1,{10 + frame},50,40,100,0.9\n" for frame in range(1, 31)))
    config = tmp_path / "cams.yaml"
    config.write_text(
        f"cameras: [{{name: cam, uri: cam.txt, fps: 10, size: [640, 480]}}]\ndetector: {{model: "
        f"'mot:{tmp_path}'}}\nengine: {{model: none}}\n"
    )
    assert call("run", "-s", config, "-o", tmp_path / "out", "-q")[0] == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames"] == 30
    assert summary["identities"] == 1
    config.write_text(config.read_text().replace(", size: [640, 480]", ""))
    code, _, errors = call("run", "-s", config, "-o", tmp_path / "out2", "-q")
    assert code == 3
    assert "size" in errors


def test_a_calibration_that_is_not_there(tmp_path: Path, call: Call, scene: Any) -> None:
    video = scene.camera("cam", [0])
    config = tmp_path / "cams.yaml"
    config.write_text(f"cameras: [{{name: cam, uri: '{video}', calibration: nowhere.xml}}]\nengine: {{model: none}}\n")
    code, _, errors = call("run", "-s", config, "-o", tmp_path / "out", "-q")
    assert code == 2
    assert "nowhere.xml" in errors
