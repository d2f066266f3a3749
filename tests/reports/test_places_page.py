"""The three tasks of docs/places.md, as they are written there."""

import re
import shlex
from pathlib import Path

import pytest

from streamreid import Pipeline, run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "places.md"


def blocks(language):
    text = PAGE.read_text(encoding="utf-8")
    tasks = text[text.index("## Three tasks") : text.index("## What is counted")]
    return re.findall(rf"```{language}\n(.*?)```", tasks, re.DOTALL)


@pytest.fixture
def demo(scene, tmp_path, colours, monkeypatch):
    """``runs/demo``: person 1 walks through both cameras after 10:00, person 3 through one of them before."""
    videos = [scene.camera("entrance", [0, 1]), scene.camera("hall", [1, 2]), scene.camera("early", [3])]
    times = ("2026-11-29T10:05:00", "2026-11-29T10:05:20", "2026-11-29T09:30:00")
    config = scene.config(*videos)
    cameras = [
        {"name": video.stem, "uri": str(video), "start_time": begin} for video, begin in zip(videos, times, strict=True)
    ]
    monkeypatch.chdir(tmp_path)
    with Pipeline(config.from_dict({**config.model_dump(), "cameras": cameras}), embedder=colours) as pipeline:
        run(pipeline, "runs/demo")


def test_each_command_does_what_the_page_says(demo, call, tmp_path):
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert [line.split()[1] for line in commands] == ["report", "report", "clip"]
    said = []
    for line in commands:
        code, out, why = call(*shlex.split(line, comments=True)[1:])
        assert code == 0, (line, why)
        said.append(" ".join(out.split()))
    assert "people 3 ·" in said[0] or re.search(r"11:00:00 3 ", said[0]), said[0]
    assert {path.name for path in (tmp_path / "maps").glob("entrance-*")} == {"entrance-paths.png", "entrance-heat.png"}
    assert (tmp_path / "identity-3.mp4").stat().st_size > 1000


def test_the_lines_of_python_count_the_same(demo, capsys):
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.startswith("[3] ")
