"""``streamreid detector bench`` and ``verify``: recall, precision and time on a user's own clips."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def boxes(scene, tmp_path):
    """A clip of two people, and folders of boxes: all of them, every second person's, all and as many of nobody."""
    scene.camera("left", [0, 1], frames=40)
    lines = (scene.boxes / "left.txt").read_text().splitlines()
    rows = [line.split(",") for line in lines]
    some = [line for line, row in zip(lines, rows, strict=True) if int(row[0]) % 4 == 1 or float(row[2]) < 0]
    ghosts = [",".join([row[0], row[1], "5", "200", "20", "30", *row[6:]]) for row in rows[::2]]
    for name, text in (("right", lines), ("half", some), ("ghosts", lines + ghosts)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "left.txt").write_text("\n".join(text) + "\n")
    return {name: f"mot:{tmp_path / name}" for name in ("right", "half", "ghosts")}


def bench(call, scene, boxes, *options):
    names = [part for name in boxes.values() for part in ("--detector", name)]
    code, out, error = call("detector", "bench", scene.folder, *names, "--every", 0, "--json", *options)
    assert code == 0, error
    return json.loads(out)


def test_bench_says_what_each_finds_and_which_to_take(call, scene, boxes):
    found = bench(call, scene, boxes, "--truth", scene.boxes)
    rows = {row["detector"]: row for row in found["detectors"]}
    assert {row["people"] for row in rows.values()} == {80}
    assert {row["frames"] for row in rows.values()} == {40}
    right, half, ghosts = (rows[boxes[name]] for name in ("right", "half", "ghosts"))
    assert (right["recall"], right["precision"], right["f1"]) == (1.0, 1.0, 1.0)
    assert half["recall"] == pytest.approx(0.25)
    assert half["precision"] == 1.0
    assert ghosts["recall_at"] == 1.0
    assert ghosts["precision_at"] == pytest.approx(80 / 120)
    assert found["take"] == boxes["right"]
    assert all(row["milliseconds"] > 0 for row in rows.values())


def test_a_reference_detector_stands_in_for_ground_truth(call, scene, boxes):
    found = bench(call, scene, boxes, "--reference", boxes["right"])
    assert boxes["right"] in found["against"]
    assert {row["detector"]: row["recall"] for row in found["detectors"]}[boxes["half"]] == pytest.approx(0.25)


def test_it_says_so_when_the_shipped_detector_is_judged_by_itself(call, scene, monkeypatch, tmp_path):
    scene.camera("left", [0, 1], frames=2)
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STREAMREID_OFFLINE", "1")
    args = ["--detector", "person-nano", "--every", 0, "--frames", 1, "--json"]
    _, _, error = call("detector", "bench", scene.folder, *args)
    assert "yolo11n is not on this machine, so person-nano itself says who is there" in " ".join(error.split())


def test_the_table_names_the_choice(call, scene, boxes):
    code, out, _ = call(
        "detector",
        "bench",
        scene.folder / "left.mp4",
        "--detector",
        boxes["right"],
        "--truth",
        scene.boxes / "left.txt",
    )
    assert code == 0
    assert "recall" in out
    assert f"take {boxes['right']}" in " ".join(out.split())


def test_one_that_cannot_be_opened_is_left_out_with_the_reason(call, scene, boxes):
    args = ["--detector", boxes["right"], "--detector", "gone.onnx", "--truth", scene.boxes]
    code, out, error = call("detector", "bench", scene.folder, *args, "--json")
    assert code == 0, error
    assert "gone.onnx: no such file" in json.loads(out)["left_out"]["gone.onnx"]


def test_verify_refuses_in_one_sentence(call, scene, boxes):
    truth = ("--truth", scene.boxes, "--every", 0)
    code, out, _ = call("detector", "verify", scene.folder, "--detector", boxes["right"], *truth)
    assert code == 0
    assert "recall 1.00, precision 1.00" in out
    code, _, error = call("detector", "verify", scene.folder, "--detector", boxes["half"], *truth)
    assert code == 2
    assert "recall 0.25, precision 1.00" in error
    assert "recall is below 0.5" in error
    assert "detector bench" in error


@pytest.mark.parametrize(("clips", "message"), [("gone", "no such file or folder of clips"), (".", "no frame in it")])
def test_nothing_to_look_at(call, tmp_path, clips, message):
    code, _, error = call("detector", "verify", tmp_path / clips, "--detector", f"mot:{tmp_path}", "--truth", tmp_path)
    assert code in (2, 3)
    assert message in error


def test_a_clip_without_people_proves_nothing(call, scene, tmp_path):
    scene.camera("left", [0], frames=10)
    (scene.boxes / "left.txt").write_text("")
    code, _, error = call(
        "detector", "verify", scene.folder, "--detector", f"mot:{scene.boxes}", "--reference", f"mot:{scene.boxes}"
    )
    assert code == 2
    assert "nobody is in these" in error


def test_rows_that_do_not_count_are_neither_right_nor_wrong(call, scene, boxes, tmp_path):
    rows = np.loadtxt(scene.boxes / "left.txt", delimiter=",")
    rows[:20, 6] = 0
    (tmp_path / "truth").mkdir()
    np.savetxt(Path(tmp_path / "truth" / "left.txt"), rows, delimiter=",", fmt="%g")
    found = bench(call, scene, {"right": boxes["right"]}, "--truth", tmp_path / "truth")
    (row,) = found["detectors"]
    assert (row["people"], row["recall"], row["precision"]) == (60, 1.0, 1.0)


def test_pictures_have_the_frame_rate_that_is_given(call, scene, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(8):
        cv2.imwrite(str(pictures / f"{number:03d}.png"), np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "pictures.txt").write_text("".join(f"{n},-1,5,5,20,40,1,-1,-1,-1\n" for n in range(1, 9)))
    boxes = f"mot:{tmp_path}"
    for fps, frames in ((2, 4), (8, 1)):  # of eight pictures, one a second
        code, out, error = call(
            *("detector", "bench", pictures, "--detector", boxes, "--reference", boxes, "--fps", fps, "--json")
        )
        assert code == 0, error
        assert json.loads(out)["detectors"][0]["frames"] == frames


def test_a_size_that_is_none_is_refused_in_one_sentence(call, scene, boxes):
    code, _, error = call(
        *(
            "detector",
            "bench",
            scene.folder,
            "--detector",
            boxes["right"],
            "--reference",
            boxes["right"],
            "--size",
            "big",
        )
    )
    assert code == 2
    assert "size: write a whole number" in error
