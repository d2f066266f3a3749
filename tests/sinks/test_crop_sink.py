"""Crops of people: when they are cut out, what is noted, and that nothing is overwritten."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.config import OutputConfig
from streamreid.datasets.layouts import list_pictures
from streamreid.errors import OutputError
from streamreid.sinks import CropSink, open_sinks
from streamreid.types import Frame, FrameResult, Tracks


def result(
    camera: str, index: int, boxes: list[list[float]], ids: list[int], rows: list[int] | None = None, image: bool = True
) -> FrameResult:
    n = len(ids)
    picture = np.zeros((200, 100, 3), np.uint8)
    picture[:, 50:] = 255
    tracks = Tracks(
        np.array(ids, np.int64),
        np.array(boxes, np.float32),
        np.ones(n, np.float32),
        np.array(rows or [0] * n, np.int64),
    )
    frame = Frame(camera, index, index / 4, picture if image else picture[:0, :0], extent=None if image else (100, 200))
    return FrameResult(frame, tracks, np.zeros(n, np.int64), np.zeros(n, np.float32), np.ones((n, 1), np.float32))


def test_one_picture_per_track_and_second(tmp_path: Path) -> None:
    sink = CropSink(tmp_path, ["gate"], every=1.0)
    for index in range(9):  # two seconds
        sink.write(result("gate", index, [[50, 10, 90, 110], [0, 0, 40, 40]], [3, 4]))  # the second one is too small
    sink.write(result("gate", 20, [[-20.5, 120, 30.2, 260]], [5]))
    sink.write(result("gate", 21, [[0, 0, 50, 150]], [6], rows=[-1]))  # predicted
    carried = result("gate", 21, [[0, 0, 50, 150]], [8])  # of a frame that the detector did not look at
    carried.tracks.scores[:] = 0
    sink.write(carried)
    sink.write(result("gate", 22, [[0, 0, 50, 150]], [7], image=False))
    sink.close({("gate", 3): (9, 0.875), ("gate", 6): (10, 1.0)})
    files = sorted(p.name for p in (tmp_path / "run-0001" / "gate").iterdir())
    assert files == ["000003_00000000.jpg", "000003_00000004.jpg", "000003_00000008.jpg", "000005_00000020.jpg"]
    crop = cv2.imread(str(tmp_path / "run-0001" / "gate" / files[0]))
    assert crop.shape == (100, 40, 3)
    assert crop.min() > 250  # the white half
    assert cv2.imread(str(tmp_path / "run-0001" / "gate" / files[3])).shape == (80, 31, 3)  # cut at the border
    with (tmp_path / "run-0001" / "identities.csv").open() as file:
        assert list(csv.reader(file))[1:] == [["gate", "3", "9", "0.8750", "run-0001"]]  # track 5 has no identity


def test_runs_do_not_overwrite_each_other_and_can_be_trained_on(tmp_path: Path) -> None:
    for _ in range(2):
        sinks = open_sinks(OutputConfig(mot=False, jsonl=False, crops=True, crops_every=0.0), tmp_path, ["a", "b"])
        for camera in ("a", "b"):
            for sink in sinks:
                sink.write(result(camera, 0, [[0, 0, 40, 100]], [1]))
        for sink in sinks:
            sink.close({("a", 1): (1, 1.0), ("b", 1): (1, 0.9)})
            sink.close({})
    found = list_pictures(tmp_path / "crops", "tracks")
    assert [(n.path.parts[-3], n.person, n.camera) for n in found] == [
        ("run-0001", 0, 0), ("run-0001", 0, 1), ("run-0002", 1, 0), ("run-0002", 1, 1),
    ]  # fmt: skip


def test_live_runs_share_their_people(tmp_path: Path) -> None:
    for _ in range(2):
        sink = CropSink(tmp_path, ["a"], every=0.0, live=True)
        sink.write(result("a", 0, [[0, 0, 40, 100]], [1]))
        sink.finalize_tracks({("a", 1): (5, 1.0)})
        sink.abort()
    assert [n.person for n in list_pictures(tmp_path, "tracks")] == [0, 0]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "crops").write_text("a file")
    with pytest.raises(OutputError, match="crops"):
        CropSink(tmp_path / "crops", ["a"])
