"""Workers and a site that are killed, hang or are cut off: real processes."""

import time

import pytest

from streamreid import Pipeline, run
from streamreid.config import Config
from tests.support.cluster import SECONDS, Colours


@pytest.fixture
def recordings(scene):
    """Two recordings with a person who is in both."""
    videos = scene.camera("left", [0, 1]), scene.camera("right", [1, 2], rate=7)
    return scene.config(*videos, tracker={"delay": 0.5}, output={"parquet": False})


@pytest.fixture
def live(scene):
    """The same as live cameras that begin again and again."""
    cameras = [
        {"name": p.stem, "uri": str(p), "live": True, "repeat": 1000}
        for p in (scene.camera("left", [0, 1]), scene.camera("right", [1, 2]))
    ]
    return Config.from_dict(
        {
            "cameras": cameras,
            "detector": {"model": f"mot:{scene.boxes}"},
            "engine": {"model": "none"},
            "output": {"parquet": False},
        }
    )


def test_results_after_a_worker_was_killed_are_those_of_one_process(recordings, team, tmp_path):
    with Pipeline(recordings, embedder=Colours()) as pipeline:
        run(pipeline, tmp_path / "alone")
    group = team(recordings)
    group.start("a", "left", slow=0.05)
    group.start("b", "right", slow=0.02)
    group.wait(lambda: group.ask("status")["left"]["received"] > 5)
    group.workers["a"].kill()
    group.workers["b"].order("add", "left")
    assert group.site.popen.wait(60) == 0
    for name in ("results.jsonl", "mot/left.txt", "mot/global/right.txt"):
        assert (group.results / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_live_camera_goes_on_with_another_worker(live, team):
    group = team(live)
    first = group.start("a", "left")
    group.start("b", "right")
    group.wait(lambda: len(group.frames("left")) > 5 and len(group.frames("right")) > 5)
    first.kill()
    before, there = len(group.frames("left")), len(group.frames("right"))
    began = time.monotonic()
    group.workers["b"].order("add", "left")
    group.wait(lambda: len(group.frames("left")) > before + 3)
    assert time.monotonic() - began < SECONDS + 5
    assert len(group.frames("right")) > there
    numbers = [(row["frame"], row["track_id"]) for row in group.frames("left")]
    assert numbers == sorted(set(numbers))
    assert group.owned_once()
