"""Zones, counts and flows of a live run by HTTP, and its gauges."""

import json
import re
import urllib.request
from urllib.error import HTTPError

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from streamreid import Pipeline
from streamreid.config import ServerConfig
from streamreid.serving import Server
from streamreid.serving.live_places import SettledTracks, _with_interval
from streamreid.sinks import FinalIdentities


@pytest.fixture
def ask(scene, colours, tmp_path, background, until):
    """A live run whose one person walks to the right, through a zone and over a line; its answers by path."""
    video = scene.camera("gate", [0], frames=100)
    config = scene.config(
        video,
        zones=[{"name": "shop", "camera": "gate", "polygon": [[0.05, 0], [1, 0], [1, 1], [0.05, 1]]}],
        lines=[{"name": "door", "camera": "gate", "from": [60, 200], "to": [60, 60]}],
    )
    camera = config.cameras[0].model_copy(update={"live": True, "repeat": 50})
    pipeline = Pipeline(config.model_copy(update={"cameras": (camera,)}), embedder=colours)
    with Server(pipeline, ServerConfig(listen="127.0.0.1:0")) as server:
        run = background(pipeline, tmp_path / "run", (server.board,))

        def answer(path):
            with urllib.request.urlopen(server.address + path, timeout=30) as reply:
                text = reply.read().decode()
            return text if path == "/metrics" else json.loads(text)

        until(lambda: next(z for z in answer("/zones") if z["name"] == "door")["entries"] >= 1)
        yield answer
        run.stop()


def test_a_live_run_answers_who_is_where(ask, until):
    zones = {zone["name"]: zone for zone in ask("/zones")}
    assert {name: zone["kind"] for name, zone in zones.items()} == {
        "shop": "zone", "door": "line", "camera:gate": "camera", "everywhere": "site",
    }  # fmt: skip
    rows = {row["place"]: row for row in ask("/counts?place=shop&place=gate")["rows"]}
    assert set(rows) == {"shop", "camera:gate"}
    assert all(row["unique"] >= 1 for row in rows.values())
    (row,) = ask("/counts?place=shop&interval=true")["rows"]
    assert row["unique_low"] <= row["unique"] <= row["unique_high"]
    assert ask("/counts?min_people=1000")["rows"][0]["withheld"]
    assert set(ask("/flows")) == {"rows", "ways"}
    metrics = ask("/metrics")
    assert re.search(r'^streamreid_line_crossings_total{direction="in",line="door"} [1-9]', metrics, re.MULTILINE)
    assert re.search(r'^streamreid_unique_people{place="everywhere"} [1-9]', metrics, re.MULTILINE)
    assert 'streamreid_zone_occupancy{zone="shop"}' in metrics
    until(lambda: 'streamreid_unique_people_high{place="everywhere"}' in ask("/metrics"))
    low, number, high = (
        float(re.search(rf'^streamreid_unique_people{end}{{place="shop"}} (.+)', ask("/metrics"), re.MULTILINE)[1])
        for end in ("_low", "", "_high")
    )
    assert 1 <= low <= number <= high
    for path, said in (("/counts?place=shp", "did you mean 'shop'"), ("/counts?every=soon", "every 'soon'")):
        with pytest.raises(HTTPError) as error:
            ask(path)
        assert error.value.code == 422
        assert said in error.value.read().decode()


@pytest.mark.parametrize(("decided", "told"), [(10, (12, 10, 14)), (12, (14, 10, 14)), (13, (15, 10, 15))])
def test_the_gauge_is_the_estimate_of_a_moment_ago_and_who_came_since(decided, told):
    row = _with_interval({"place": "shop", "unique": decided, "occupancy_max": 3}, {"shop": (2, 10, 14)})
    assert (row["unique"], row["unique_low"], row["unique_high"]) == told


def test_tracks_that_a_run_lists_no_more_are_remembered():
    settled = SettledTracks()
    settled.add(FinalIdentities({("a", 1): (7, 0.9), ("a", 2): (8, 1.0)}, unlinked=[8], names={7: "Anna"}))
    now = settled.with_current(FinalIdentities({("a", 3): (9, 1.0)}, unlinked=[]))
    assert {key: who for key, (who, _) in now.items()} == {("a", 1): 7, ("a", 2): 8, ("a", 3): 9}
    assert now.people == {7, 9}
    assert now.names == {7: "Anna"}
