"""Valid video in great variety is read as ffprobe says; `fuzz_media.py` does more of it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.inputs.fuzz_media import Media, check, draw, make

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")

SEED, COUNT = 14, 12


def test_what_is_drawn_is_read_as_ffprobe_says(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    wrong = {}
    for number in range(COUNT):
        media = draw(dice)
        folder = tmp_path / str(number)
        folder.mkdir()
        if problems := check(media, make(media, folder)):
            wrong[media] = problems
    assert wrong == {}


@pytest.mark.parametrize(
    "media",
    [
        Media("mkv", "mpeg4", "15", 12, (64, 48), start=3600.0),
        Media("wmv", "wmv2", "25", 12, (64, 48), start=1.4),
        Media("mp4", "h264", "25", 12, (64, 48), b_frames=3, rotation=90, aspect="12/11", start=3600.0),
        Media("avi", "h264", "30000/1001", 12, (64, 48), b_frames=3, sound=True),
        Media("ts", "mpeg2", "25", 12, (64, 48), b_frames=2, interlaced=True, aspect="12/11", start=95_442.7),
        Media("265", "hevc", "10", 12, (64, 48), b_frames=2),
    ],
    ids=lambda media: f"{media.container} {media.codec}",
)
def test_kinds_that_were_read_wrong_once_or_are_rare(tmp_path: Path, media: Media) -> None:
    assert check(media, make(media, tmp_path)) == []
