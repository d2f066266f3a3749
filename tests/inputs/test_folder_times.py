"""When the pictures of a folder were taken, and which frames they are: by a rate that is given, by their names, never
by a guess."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import FrameSource, open_source
from streamreid.sources.picture_names import frame_numbers, name_times, usual_step
from streamreid.types import Frame

PICTURE = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


def folder(path: Path, *names: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        (path / name).write_bytes(PICTURE)
    return path


def read(path: Path, **settings: object) -> tuple[list[Frame], FrameSource]:
    with open_source(CameraConfig(name="cam", uri=str(path), **settings)) as source:
        return list(source), source


def test_a_folder_without_a_rate_is_refused_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"how many pictures per second these 3 are.*fps: 2.*--set cameras\.fps=2"):
        read(folder(tmp_path, "a.png", "b.png", "c.png"))


def test_one_picture_needs_no_rate(tmp_path: Path) -> None:
    frames, _ = read(folder(tmp_path, "a.png"))
    assert [(f.index, f.time) for f in frames] == [(0, 0.0)]


@pytest.mark.parametrize(
    ("names", "indices", "seconds"),
    [
        (["00000000", "00000005", "00000010", "00000020"], [0, 5, 10, 20], [0, 0.5, 1.0, 2.0]),
        (["000001", "000006", "000011", "000016"], [0, 5, 10, 15], [0, 0.5, 1.0, 1.5]),
        (["000001", "000002", "000003", "000005"], [0, 1, 2, 4], [0, 0.5, 1.0, 2.0]),
        (["000301", "000302", "000303", "000304"], [300, 301, 302, 303], [0, 0.5, 1.0, 1.5]),
        (["cam3_frame_8", "cam3_frame_9", "cam3_frame_10", "cam3_frame_11"], [7, 8, 9, 10], [0, 0.5, 1.0, 1.5]),
        (["c1_f2", "c2_f1", "c2_f2", "c3_f9"], [0, 1, 2, 3], [0, 0.5, 1.0, 1.5]),
        (["anna", "bert", "carl", "dora"], [0, 1, 2, 3], [0, 0.5, 1.0, 1.5]),
    ],
    ids=["steps of 5 from 0", "steps of 5 from 1", "one missing", "second half", "prefix", "two numbers", "no numbers"],
)
def test_frame_numbers_are_those_of_the_names(
    tmp_path: Path, names: list[str], indices: list[int], seconds: list[float]
) -> None:
    frames, source = read(folder(tmp_path, *(f"{name}.png" for name in names)), fps=2)
    assert [f.index for f in frames] == indices
    np.testing.assert_allclose([f.time for f in frames], seconds)
    assert {f.clock for f in frames} == {"rate"}
    assert source.expected_frames == 4


def test_what_is_understood_of_the_numbers_is_said(tmp_path: Path) -> None:
    _, source = read(folder(tmp_path, "0.png", "5.png", "10.png", "20.png"), fps=2)
    assert source.warnings == [
        "the pictures are numbered in steps of 5; fps: 2 counts pictures, so two of them are 0.5 s apart",
        "by their numbers 1 pictures are missing among 4; their time is left free",
    ]


def test_the_rate_of_a_motchallenge_sequence_counts_numbers(tmp_path: Path) -> None:
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=10\n")
    frames, _ = read(folder(tmp_path / "img1", "000001.png", "000006.png", "000011.png").parent)
    np.testing.assert_allclose([f.time for f in frames], [0, 0.5, 1.0])


def test_start_stride_and_repeat_go_by_time_and_number(tmp_path: Path) -> None:
    path = folder(tmp_path, "0.png", "1.png", "2.png", "6.png", "7.png")
    frames, source = read(path, fps=2, start=1, stride=2, repeat=2, offset=100)
    assert [f.index for f in frames] == [2, 7, 14]
    np.testing.assert_allclose([f.time for f in frames], [101, 103.5, 107])
    assert source.expected_frames == 3
    with pytest.raises(SourceError, match=r"start: 9; they last 4\.0 s"):
        read(path, fps=2, start=9)


@pytest.mark.parametrize(
    "names",
    [
        ["2026-11-29T10-00-00.250", "2026-11-29T10-00-00.750", "2026-11-29T10-00-02.250"],
        ["cam2_20261129_100000_250", "cam2_20261129_100000_750", "cam2_20261129_100002_250"],
        ["20261129100000250", "20261129100000750", "20261129100002250"],
        ["1764410400.250000", "1764410400.750000", "1764410402.250000"],
        ["1764410400250", "1764410400750", "1764410402250"],
        ["img-1764410400250000000", "img-1764410400750000000", "img-1764410402250000000"],
    ],
)
def test_dates_in_the_names_are_times(tmp_path: Path, names: list[str]) -> None:
    path = folder(tmp_path, *(f"{name}.jpg" for name in names))
    frames, source = read(path, start_time="2026-11-29T10:00:00Z")
    np.testing.assert_allclose([f.time - frames[0].time for f in frames], [0, 0.5, 2.0], atol=1e-3)
    assert {f.clock for f in frames} == {"pts"}
    assert [f.index for f in frames] == [0, 1, 2]
    assert source.warnings == []
    frames, _ = read(path, fps=1)
    assert [(f.index, f.time) for f in frames] == [(0, 0.0), (1, 1.0), (2, 2.0)], "a rate that is given counts first"


def test_whole_seconds_do_not_tell_pictures_of_one_second_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="pictures per second"):
        read(folder(tmp_path, "20261129_100000a.png", "20261129_100000b.png", "20261129_100001a.png"))


def test_names() -> None:
    assert frame_numbers(["1.jpg", "01.jpg"]) is None
    assert frame_numbers(["1.jpg", "2.png"]) == [1, 2]
    assert frame_numbers(["7.jpg"]) == [7]
    assert name_times(["00000000.png", "00000005.png"]) is None
    assert name_times(["20261329_100000.png", "20261329_100001.png"]) is None, "there is no month 13"
    assert usual_step([0, 5, 10, 12, 14, 16]) == 2
    assert usual_step([3]) == 1
