"""Whatever comes from outside is read in time that grows with its length, not with its square: names, addresses,
messages, files, answers.

Each parser gets 10, 100 and 1,000 KB of the worst texts of its kind. Ten times the text may take about ten times as
long; a parser that takes the square takes a hundred times. Most refuse long texts at once.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import thread_time

import pytest

from streamreid._yaml import parse_yaml, read_yaml
from streamreid.addresses import check_address, quoted, split_address
from streamreid.config import CameraConfig, Config, load_config
from streamreid.config.calibration import CalibrationConfig
from streamreid.errors import StreamReIDError
from streamreid.evaluation import read_tables
from streamreid.ground.calibration_files import load_calibration
from streamreid.pipeline.pipeline import camera_name
from streamreid.secrets import expand, hide_known, redact, redact_data, remember_address
from streamreid.sources.rtsp_answer import parse_answer
from streamreid.suggestions import nearest

SIZES = (10_000, 100_000, 1_000_000)

MOST_RATIO = 30.0
"""Of the times for ten times the text: ten, and three times that for a busy machine. Quadratic code has a hundred."""

AGAIN = 4
"""Further measurements of what seems too slow."""

QUICK = 0.02
"""Seconds below which a time says nothing."""

TEXTS: dict[str, str] = {
    "letters": "a",
    "slashes": "/",
    "schemes": "a://",
    "users": "a://b:c@",
    "colons": "a://b:c ",
    "ats": "@",
    "keys": "?key=",
    "passwords": "password=",
    "quoted": "password='",
    "json": '"password": "',
    "authorization": "Authorization: ",
    "bearer": "Bearer ",
    "blanks": "a://b:c d ",
    "underscores": "_password=a",
    "variables": "${ZQ_LINEAR:-a}",
    "open braces": "${",
    "dollars": "$",
    "percent": "%2",
    "digits": "1",
    "brackets": "[",
    "braces": "{",
    "quotes": "'",
    "newlines": "\n",
    "tabs": "\t",
    "numbers": "1,1,10,10,5,5\n",
    "number line": "1 ",
    "semicolons": "1;",
    "items": "- 1\n",
    "anchors": "- &a 1\n- *a\n",
    "comments": "# a\n",
    "colon lines": "a: ",
    "elements": "<a>",
    "carriage returns": "\r",
    "headers": "WWW-Authenticate: Digest algorithm=\r\n",
    "media": "m=video ",
}


def address(text: str) -> None:
    uri = f"rtsp://admin:{text}@10.0.0.1/live"
    split_address(uri)
    remember_address(uri)
    check_address(uri)


def settings(text: str) -> None:
    Config.from_dict({"cameras": [{"name": text, "uri": text, text: text, "stride": text}], "tracker": {text: text}})


def many_cameras(text: str) -> None:
    Config.from_dict({"cameras": [{"name": f"c{i}", "uri": "x"} for i in range(len(text) // 100)]})


def many_names(text: str) -> None:
    taken: list[str] = []
    for _ in range(min(len(text) // 1000, 300)):
        camera_name(f"{text[:50]}.mp4", taken)


def answer(text: str) -> None:
    parse_answer(f"RTSP/1.0 401 Unauthorized\r\n{text}\r\n\r\n{text}".encode())
    found = parse_answer(f"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest {text}\r\n\r\n".encode())
    assert found is None or len(found.unknown_login) < 100


PLAIN: dict[str, Callable[[str], object]] = {
    "redact": redact,
    "redact of a message": lambda text: redact(f"camera 'x': {text}: cannot be opened"),
    "redact_data": lambda text: redact_data({"a": [text]}),
    "hide_known": hide_known,
    "expand": lambda text: expand(f"rtsp://admin:{text}@host/1", KeyError),
    "addresses": address,
    "quoted": lambda text: quoted(text, "rtsp://admin:", "@host"),
    "nearest": lambda text: nearest(text, ["uri", "name", "stride"]),
    "camera_name": lambda text: (camera_name(text, []), camera_name(f"rtsp://{text}", [])),
    "settings": settings,
    "settings of many cameras": many_cameras,
    "many names": many_names,
    "CameraConfig": lambda text: CameraConfig(name="a", uri=f"rtsp://{text}"),
    "--set": lambda text: parse_yaml(text, "--set a.b"),
    "an RTSP answer": answer,
}


def as_yaml(path: Path) -> None:
    read_yaml(path)
    load_config(path)


def as_calibration(path: Path) -> None:
    for ending in (".txt", ".csv", ".json", ".yaml", ".xml"):
        file = path.rename(path.with_suffix(ending))
        with suppress(StreamReIDError):
            load_calibration("c", CalibrationConfig(file=str(file)))
        path = file


FILE_KINDS = (
    "letters",
    "variables",
    "digits",
    "brackets",
    "quotes",
    "newlines",
    "numbers",
    "number line",
    "anchors",
    "colon lines",
    "elements",
)
ALIKE = {
    "settings of many cameras": ("letters",),
    "many names": ("letters",),
    "--set": FILE_KINDS,
    "settings": FILE_KINDS,
}
"""Parsers to which many of the texts are alike, and are slow to make."""

FILES: dict[str, Callable[[Path], object]] = {"YAML": as_yaml, "MOT text": read_tables, "calibration": as_calibration}


def seconds(run: Callable[[str], object], text: str) -> float:
    """What this thread computes for; neither other programs nor the garbage of earlier tests count."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        began = thread_time()
        with suppress(StreamReIDError, ValueError, KeyError):  # refused
            run(text)
        return thread_time() - began
    finally:
        if collecting:
            gc.enable()


def growth(run: Callable[[str], object], unit: str, quick: float = QUICK) -> Iterator[tuple[int, float, float]]:
    """Of every size: seconds, and how many times those of a tenth of it. What is too slow once is measured again, and
    the best times count."""
    shorter, before = unit * (SIZES[0] // 10 // len(unit)), quick
    for size in SIZES:
        text = unit * (size // len(unit))
        now = seconds(run, text)
        for _ in range(AGAIN):
            if now < MOST_RATIO * max(before, quick):
                break
            before, now = min(before, seconds(run, shorter)), min(now, seconds(run, text))
        yield size, now, now / max(before, quick)
        shorter, before = text, now


def superlinear(name: str, run: Callable[[str], object], kinds: Iterable[str], quick: float = QUICK) -> list[str]:
    """What takes ``MOST_RATIO`` times as long for ten times the text, or longer, in words."""
    found = []
    for kind in kinds:
        for size, now, ratio in growth(run, TEXTS[kind], quick):
            if ratio >= MOST_RATIO:
                found.append(
                    f"{name} of {size // 1000} KB of {kind} takes {now:.2f} s, {ratio:.0f} times as long as a tenth "
                    "of it"
                )
                break
    return found


def test_what_takes_the_square_is_found():
    def steps(count: int) -> int:
        return sum(1 for _ in range(count))

    assert superlinear("linear", lambda text: steps(len(text)), ["letters"], quick=0.002) == []
    assert len(superlinear("quadratic", lambda text: steps((len(text) // 400) ** 2), ["letters"], quick=0.002)) == 1


@pytest.mark.parametrize("name", PLAIN)
def test_texts(name):
    assert superlinear(name, PLAIN[name], ALIKE.get(name, TEXTS)) == []


@pytest.mark.parametrize("name", FILES)
def test_files(name, tmp_path):
    def run(text: str) -> None:
        path = tmp_path / "a.txt"
        path.write_text(text, encoding="utf-8", newline="")
        FILES[name](path)

    assert superlinear(name, run, FILE_KINDS) == []


def test_a_cameras_file_of_many_cameras(tmp_path):
    def run(text: str) -> None:
        path = tmp_path / "cams.yaml"
        count = len(text) // 40
        path.write_text(
            "x: &x {stride: 2}\n".replace("x:", "x-x:")
            + "cameras:\n"
            + "".join(f"  - {{name: c{i}, uri: a.mp4, <<: *x}}\n" for i in range(count))
        )
        load_config(path)

    assert all(ratio < MOST_RATIO for _, _, ratio in growth(run, "a"))


def test_a_long_message_is_cut():
    text = redact("a" * 1_000_000)
    assert len(text) < 60_000
    assert text.endswith("more characters)")
    assert "hush" not in redact("x" * 49_990 + "rtsp://admin:" + "hush" * 5000 + "@10.0.0.1/live")
