"""Workers and a site that are killed, hang or are cut off: real processes."""

import tempfile
import time
from pathlib import Path

import pytest

from streamreid import Pipeline, run
from streamreid.config import Config
from tests.support.cluster import SECONDS, Colours
from tests.support.postgres import PostgresServer


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


def state(process, camera):
    """What a worker last said it does with a camera."""
    return process.status().get("cameras", {}).get(camera, {}).get("state")


def test_results_after_a_worker_was_killed_are_those_of_one_process(recordings, team, tmp_path):
    with Pipeline(recordings, embedder=Colours()) as pipeline:
        run(pipeline, tmp_path / "alone")
    group = team(recordings)
    group.start("a", "left", slow=0.05)
    group.start("b", "right", slow=0.02)
    group.wait(lambda: group.ask("status")["left"]["received"] > 5)
    group.workers["a"].kill()
    group.workers["b"].order("add", "left")
    assert group.site.popen.wait(150) == 0
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


def test_workers_go_on_while_the_site_is_killed_and_started_again(live, team, database):
    group = team(live, leases=database)
    group.start("a", "left", "right")
    group.wait(lambda: len(group.frames("left")) > 5)
    group.site.kill()
    known = {row["global_id"] for row in group.rows() if row.get("global_id")}
    last = max(row["frame"] for row in group.frames("left"))
    fence = group.workers["a"].status()["cameras"]["left"]["fence"]
    group.wait(lambda: group.workers["a"].status()["cameras"]["left"]["waiting"] > 15)
    group.start_site()
    group.ask("status")
    began = time.monotonic()
    group.wait(lambda: max(row["frame"] for row in group.frames("left")) > last)
    assert time.monotonic() - began < 10
    group.wait(lambda: max(row["frame"] for row in group.frames("left")) > last + 15)
    numbers = sorted({row["frame"] for row in group.frames("left")})
    assert sum(last < number <= last + 15 for number in numbers) > 10  # filmed while the site was away
    rows = [(row["frame"], row["track_id"]) for row in group.frames("left")]
    assert rows == sorted(set(rows))
    later = {row["global_id"] for row in group.rows() if row.get("global_id")} - known
    assert all(who > max(known, default=0) for who in later)  # no id is given a second time
    camera = group.workers["a"].status()["cameras"]["left"]
    assert (camera["fence"], camera["lost"]) == (fence, 0)
    assert group.owned_once()


def test_nothing_is_lost_while_a_site_hangs(live, team, database):
    group = team(live, leases=database)
    worker = group.start("a", "left")
    group.wait(lambda: len(group.frames("left")) > 5)
    group.site.pause()
    group.wait(lambda: worker.status()["site_away"] > 4.0)
    group.site.go_on()
    group.wait(lambda: worker.status()["cameras"]["left"]["waiting"] < 5)
    state = group.ask("status")["left"]
    assert (state["lost"], state["refused"], state["damaged"]) == (0, 0, 0)
    rows = [(row["frame"], row["track_id"]) for row in group.frames("left")]
    assert rows == sorted(set(rows))
    assert group.owned_once()


def test_a_worker_that_hangs_loses_its_camera_and_says_nothing_more_of_it(live, team):
    group = team(live)
    hung = group.start("a", "left")
    other = group.start("b", "right")
    group.wait(lambda: len(group.frames("left")) > 5 and len(group.frames("right")) > 5)
    hung.pause()
    other.order("add", "left")
    group.wait(lambda: state(other, "left") == "reading")
    count = len(group.frames("left"))
    group.wait(lambda: len(group.frames("left")) > count + 3)
    hung.go_on()
    group.wait(lambda: state(hung, "left") in ("waiting for lease", "refused"))
    assert group.ask("status")["left"]["worker"] == "b"
    numbers = [(row["frame"], row["track_id"]) for row in group.frames("left")]
    assert numbers == sorted(set(numbers))
    assert group.owned_once()


def test_a_worker_whose_clock_is_wrong_by_ten_seconds(live, team):
    group = team(live)
    group.start("a", "left", clock=10.0)
    group.start("b", "right", clock=-10.0)
    group.wait(lambda: len(group.frames("left")) > 15 and len(group.frames("right")) > 15)
    now = time.time()
    for camera, offset in (("left", 10.0), ("right", -10.0)):
        assert abs(group.frames(camera)[-1]["time"] - now) < 5.0
        assert group.workers["a" if offset > 0 else "b"].status()["clock_offset"] == pytest.approx(offset, abs=1.0)
    assert {row["global_id"] for row in group.frames("left")} & {row["global_id"] for row in group.frames("right")}
    assert group.owned_once()


def test_a_lease_store_that_is_started_again(live, team):
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'streamreid[postgres]'")
    with tempfile.TemporaryDirectory(prefix="pg") as text:
        Path(text).chmod(0o755)
        try:
            server = PostgresServer(Path(text), "fsync=off")
            server.start()
        except RuntimeError as error:
            pytest.skip(str(error))
        try:
            group = team(live, leases=f"{server.address}/postgres")
            worker = group.start("a", "left")
            group.wait(lambda: len(group.frames("left")) > 5)
            server.stop()
            group.wait(lambda: state(worker, "left") == "waiting for lease")  # it stops by itself
            stopped = len(group.frames("left"))
            server.start()
            group.wait(lambda: len(group.frames("left")) > stopped + 10)
            rows = [(row["frame"], row["track_id"]) for row in group.frames("left")]
            assert rows == sorted(set(rows))
            assert group.owned_once()
            group.end()
        finally:
            server.stop()
