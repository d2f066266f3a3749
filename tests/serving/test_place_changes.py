"""Zones and lines drawn, changed and removed by HTTP in a live run, and kept for the next start."""

import json
import logging

import pytest

from streamreid import Pipeline
from streamreid.config import Config, ServerConfig
from streamreid.errors import ConfigError, PlaceNotFound
from streamreid.runs.place_editor import PlaceEditor
from streamreid.runs.place_log import read_place_log
from streamreid.runs.place_overrides import PlaceOverrides
from streamreid.serving import Server

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

WIDE = [[0.05, 0], [1, 0], [1, 1], [0.05, 1]]


@pytest.fixture
def site(scene, colours, tmp_path, background, until):
    """A live run of the camera 'gate', in which one person walks; 'yard' may be added."""
    gate, yard = (scene.camera(name, [0], frames=145, rate=4) for name in ("gate", "yard"))
    config = scene.config(gate, alerts=[{"when": "site occupancy > 50"}])
    camera = config.cameras[0].model_copy(update={"live": True, "repeat": 50})
    config = config.model_copy(update={"cameras": (camera,)})
    changes = PlaceOverrides(tmp_path / "run", config.zones, config.lines)
    with Pipeline(config, embedder=colours, stay=True) as pipeline:
        editor = PlaceEditor(pipeline, changes)
        with Server(pipeline, ServerConfig(listen="127.0.0.1:0"), places=editor) as server:
            run = background(pipeline, tmp_path / "run", (server.board,))
            with httpx.Client(base_url=server.address, timeout=10) as client:
                client.yard, client.config, client.editor, client.run = str(yard), config, editor, run
                until(lambda: client.get("/cameras/gate").json()["frames"] > 1)
                yield client
            run.stop()


def state(client, name):
    return next((place for place in client.get("/zones").json() if place["name"] == name), None)


def test_a_zone_is_drawn_counts_and_is_kept(site, tmp_path, until):
    body = {"name": "shop", "camera": "gate", "polygon": WIDE, "loitering_time": "2m"}
    answer = site.post("/zones", json=body)
    assert (answer.status_code, answer.json()["loitering_time"]) == (201, 120)
    assert site.post("/zones", json=body).status_code == 409
    until(lambda: state(site, "shop")["occupancy"] == 1)
    assert state(site, "shop")["since"] > 0
    until(lambda: site.get("/counts?place=shop").json()["rows"])
    (row,) = site.get("/counts?place=shop").json()["rows"]
    assert row["start"] == pytest.approx(state(site, "shop")["since"], abs=0.01)
    line = {"name": "door", "camera": "gate", "from": [60, 200], "to": [60, 60]}
    assert site.post("/lines", json=line).json() == {**line, "from": [60, 200], "to": [60, 60]}
    assert state(site, "door")["since"] > 0
    assert site.patch("/lines/door", json={"inertia": 2}).json()["inertia"] == 2
    assert site.patch("/zones/shop", json={"polygon": [[0, 0], [0.01, 0], [0, 0.01]]}).status_code == 200
    until(lambda: state(site, "shop")["occupancy"] == 0)
    assert state(site, "shop")["exits"] == 0  # the zone moved, and not the person
    assert site.get("/changes").json() == {"zone shop gate": ["added"], "line door gate": ["added"]}
    begun = PlaceOverrides(tmp_path / "run", (), ()).begin(site.config)
    assert [p.name for p in (*begun.zones, *begun.lines)] == ["shop", "door"]
    assert site.delete("/lines/door").status_code == 204
    assert [(len(v)) for v in site.get("/places").json().values()] == [1, 0]
    site.run.stop()
    log = read_place_log(tmp_path / "run")
    assert log.places["shop"].since > 0
    assert log.places["door"].until > log.places["door"].since
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [zone["name"] for zone in summary["configuration"]["zones"]] == ["shop"]


def test_cameras_that_were_added_by_http_have_zones(site, until):
    zone = {"name": "shop", "camera": "yard", "polygon": WIDE}
    refused = site.post("/zones", json=zone)
    assert refused.status_code == 422
    assert "there is no camera 'yard'" in refused.json()["error"]
    site.post("/cameras", json={"name": "yard", "uri": site.yard, "live": True, "repeat": 50})
    assert site.post("/zones", json=zone).status_code == 201
    until(lambda: state(site, "shop")["occupancy"] == 1)
    assert site.delete("/changes").status_code == 204
    assert state(site, "shop") is None


MISTAKES = [
    ("/zones", {"name": "a b ", "camera": "gate", "polygon": WIDE}, "name"),
    ("/zones", {"name": "a", "camera": "gate", "polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "crosses itself"),
    ("/zones", {"name": "a", "ground": [[0, 0], [1, 0], [1, 1]]}, "no camera is calibrated"),
    ("/zones", {"name": "a", "camera": "gate", "poligon": WIDE}, "did you mean 'polygon'"),
    ("/lines", {"name": "a", "camera": "gate", "from": [0, 0], "to": [0, 0]}, "no length"),
    ("/lines", {"name": "everywhere", "camera": "gate", "from": [0, 0], "to": [1, 0]}, "whole site"),
]


def test_wrong_places_are_refused_with_a_reason(site):
    for path, body, said in MISTAKES:
        answer = site.post(path, json=body)
        assert answer.status_code == 422
        assert said in answer.json()["error"]
    assert site.get("/places").json() == {"zones": [], "lines": []}
    site.post("/zones", json={"name": "shop", "camera": "gate", "polygon": WIDE})
    assert "did you mean 'shop'" in site.delete("/zones/shp").json()["error"]
    assert site.patch("/zones/shop?camera=yard", json={"queue": True}).status_code == 404
    assert site.patch("/zones/shop", json={"name": "sho"}).json()["name"] == "sho"


def test_settings_of_a_place_change_in_all_its_cameras(scene, colours):
    zones = [{"name": "shop", "camera": name, "polygon": WIDE} for name in ("gate", "yard")]
    config = scene.config(scene.camera("gate", [0]), scene.camera("yard", [0]), zones=zones)
    alerts = Config.model_validate({**config.model_dump(), "alerts": [{"when": "zone shop queue > 3"}], "zones": zones})
    with Pipeline(config, embedder=colours) as pipeline:
        editor = PlaceEditor(pipeline)
        with pytest.raises(ConfigError, match="several cameras have a zone 'shop'"):
            editor.zone("shop")
        editor.change_zone("shop", {"queue": True}, "gate")
        assert [zone.queue for zone in editor.zones] == [True, True]
        editor.change_zone("shop", {"polygon": [[0, 0], [1, 0], [1, 1]]}, "yard")
        assert [len(zone.polygon) for zone in editor.zones] == [4, 3]
        editor.remove_zone("shop", "gate")
        assert [zone.camera for zone in editor.zones] == ["yard"]
        with pytest.raises(PlaceNotFound):
            editor.remove_line("shop")
    with Pipeline(alerts, embedder=colours) as pipeline, pytest.raises(ConfigError, match="has no queue"):
        PlaceEditor(pipeline).change_zone("shop", {"occupancy": 3}, "gate")


def test_what_the_file_says_later_counts(site, tmp_path, caplog):
    shop = {"name": "shop", "camera": "gate", "polygon": WIDE}
    site.post("/zones", json=shop)
    site.post("/zones", json={**shop, "name": "till"})
    edited = site.editor.add_zone({**shop, "name": "door", "queue": True})
    said = Config.model_validate({**site.config.model_dump(), "zones": [{**shop, "occupancy": 9}]})
    with caplog.at_level(logging.WARNING):
        begun = PlaceOverrides(tmp_path / "run", said.zones, said.lines).begin(said)
    assert [(z.name, z.occupancy) for z in begun.zones] == [("shop", 9), ("till", 1), ("door", 1)]
    assert "zone 'shop' was edited in the cameras file" in caplog.text
    assert site.editor.file_says(said.zones, said.lines) == ("shop",)
    assert [(z.name, z.occupancy) for z in site.editor.zones] == [("shop", 9), ("till", 1), ("door", 1)]
    assert edited in site.editor.zones
    gone = Config.model_validate({**site.config.model_dump(), "cameras": [{"name": "hall", "uri": "hall.mp4"}]})
    assert PlaceOverrides(tmp_path / "run", (), ()).begin(gone).zones == ()  # their camera is not there any more


def test_damaged_changes_stop_no_start(tmp_path, caplog):
    config = Config.from_sources("a.mp4")
    for text in ("{", "[]", '{"schema": 2}', '{"schema": 1, "places": [{}, 3], "history": {"a": 1}}'):
        (tmp_path / "places.json").write_text(text)
        assert PlaceOverrides(tmp_path, (), ()).begin(config) == config
