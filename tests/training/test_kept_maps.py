"""The ablation on kept feature maps, from pictures to the table, with few people and two steps."""

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("lightning", reason="training needs the train extra")

from streamreid.datasets.labels import LABEL_SIZE

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def picture(person: int, camera: int) -> np.ndarray:
    """A person in two colours of their own, before the grey of a camera."""
    image = np.full((128, 64, 3), 80 + 40 * camera, np.uint8)
    colours = np.random.default_rng(person).integers(0, 256, (2, 3))
    image[20:68, 16:48], image[68:120, 20:44] = colours
    return image


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Both datasets, with some more people than are held out of training, and the class maps of their training
    pictures."""
    label = np.zeros(LABEL_SIZE, np.uint8)
    label[6:12, 12:20], label[12:34, 8:24], label[34:60, 10:22] = 1, 2, 4
    for dataset, people in (("cuhk03", 56), ("cuhk01", 36)):
        labels = tmp_path / "labels" / dataset
        labels.mkdir(parents=True)
        for part, persons in (
            ("bounding_box_train", range(people)),
            ("query", range(900, 904)),
            ("bounding_box_test", range(900, 904)),
        ):
            folder = tmp_path / "data" / dataset / part
            folder.mkdir(parents=True)
            for person in persons:
                for camera in (1,) if part == "query" else (2,) if part == "bounding_box_test" else (1, 2):
                    name = f"{person:04d}_c{camera}s1_000000_00.png"
                    cv2.imwrite(str(folder / name), picture(person, camera))
                    if part == "bounding_box_train":
                        cv2.imwrite(str(labels / name), label)
    return tmp_path


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scripts of benchmarks/ import one another by their names, which are forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("_") and (BENCHMARKS / f"{name}.py").exists():
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.timeout(2500)  # minutes on two cores without bfloat16
@pytest.mark.usefixtures("scripts")
def test_rows_are_trained_and_scored_on_kept_maps(
    data: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    retail = shared / "data" / "weights" / "person-reidentification-retail-0277.xml"
    script = str(BENCHMARKS / "ablation.py")
    options = ["--out", str(data / "out"), "--kept", "--steps", "2", "--draws", "1", "--rows", "full", "teacher"]
    monkeypatch.setattr(sys, "argv", [script, str(data / "data"), str(data / "labels"), str(retail), *options])
    monkeypatch.chdir(data)
    runpy.run_path(script, run_name="__main__")
    done = capsys.readouterr().out
    assert {p.parent.name for p in (data / "out").glob("*/scores.json")} == {"full"}  # a teacher needs pictures
    scores = json.loads((data / "out" / "full" / "scores.json").read_text())
    assert scores["steps"] == 2
    assert all(0 < scores[d]["parts"]["clean"]["mAP"] <= 1 for d in ("cuhk03", "cuhk01"))
    # heading, rule, the recipe by parts and by the whole person
    assert (data / "out" / "table.md").read_text().count("\n") == 4
    before = {p: p.stat().st_mtime_ns for p in (data / "out").rglob("*.npz")}
    runpy.run_path(script, run_name="__main__")
    assert "0/2 loss" in done
    assert "/2 loss" not in capsys.readouterr().out  # finished rows are kept
    assert before
    assert before == {p: p.stat().st_mtime_ns for p in (data / "out").rglob("*.npz")}
