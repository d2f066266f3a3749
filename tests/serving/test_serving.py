"""The HTTP interface around a real run of generated cameras."""

import json
import socket
import time

import pytest

from streamreid import Pipeline
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.config import ServerConfig
from streamreid.errors import ConfigError
from streamreid.serving import Server, parse_address

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
prometheus = pytest.importorskip("prometheus_client.parser")


@pytest.fixture
def site(scene, colours, tmp_path, background, until):
    """A service with one live camera 'left'; 'right' may be added."""
    left, right = scene.camera("left", [0, 1], frames=300), scene.camera("right", [1, 0], frames=300)
    config = scene.config(left)
    camera = config.cameras[0].model_copy(update={"live": True, "repeat": 50})
    config = config.model_copy(update={"cameras": (camera,)})
    changes = CameraOverrides(tmp_path / "out", config.cameras)
    with (
        Pipeline(config, embedder=colours, stay=True) as pipeline,
        Server(pipeline, ServerConfig(listen="0"), changes) as server,
    ):
        running = background(pipeline, tmp_path / "out", (server.board,))
        with httpx.Client(base_url=server.address, timeout=10) as client:
            client.right, client.running, client.server, client.said = str(right), running, server, config.cameras
            until(lambda: client.get("/cameras/left").json()["frames"] > 5)
            yield client
        running.stop()


def test_cameras_come_rest_change_and_go(site, until):
    assert [c["name"] for c in site.get("/cameras").json()] == ["left"]
    added = site.post("/cameras", json={"name": "right", "uri": site.right, "live": True, "repeat": 50})
    assert added.status_code == 201
    until(lambda: site.get("/cameras/right").json()["frames"] > 3)
    assert site.post("/cameras/right/pause").json()["state"] == "paused"
    resting = site.get("/cameras/right").json()["frames"]
    time.sleep(0.4)
    assert site.get("/cameras/right").json()["frames"] <= resting + 1  # one may have been in work
    site.post("/cameras/right/resume")
    until(lambda: site.get("/cameras/right").json()["frames"] > resting + 3)
    changed = site.patch("/cameras/right", json={"roi": [[0, 0], [1, 0], [1, 1]], "stride": 2}).json()
    assert (changed["stride"], len(changed["roi"])) == (2, 3)
    assert site.delete("/cameras/right").status_code == 204
    assert site.get("/cameras/right").status_code == 404
    assert [c["name"] for c in site.get("/cameras").json()] == ["left"]
    summary = site.running.stop()
    assert summary.cameras["right"].frames > 6
    assert summary.cameras["left"].error is None


def test_changes_are_kept_for_the_next_run_and_can_be_taken_back(site, tmp_path):
    site.post("/cameras", json={"name": "right", "uri": site.right, "live": True, "repeat": 50})
    site.patch("/cameras/left", json={"stride": 2})
    site.post("/cameras/left/pause")
    assert site.get("/changes").json() == {"left": ["paused", "stride"], "right": ["added"]}
    kept = {c.name: c for c in CameraOverrides(tmp_path / "out", site.said).begin()}
    assert (kept["left"].stride, kept["left"].paused, kept["right"].uri) == (2, True, site.right)
    site.post("/cameras/left/resume")
    site.delete("/cameras/right")
    assert site.get("/changes").json() == {"left": ["stride"]}
    site.delete("/cameras/left")
    assert CameraOverrides(tmp_path / "out", site.said).begin() == ()
    assert site.delete("/changes").status_code == 204
    assert site.get("/changes").json() == {}
    assert site.get("/cameras/left").json()["stride"] == 1
    assert not (tmp_path / "out" / "cameras.json").exists()


def test_a_change_that_cannot_be_kept_is_said(site, tmp_path):
    (tmp_path / "out" / "cameras.json.part").mkdir()
    answer = site.patch("/cameras/left", json={"stride": 2})
    assert answer.status_code == 500
    assert "cameras.json" in answer.json()["error"]
    assert site.get("/cameras/left").json()["stride"] == 2


def test_the_kind_of_a_mistake_decides_the_status_not_its_words(site, tmp_path):
    """A file of that name once made this a 404."""
    answer = site.post("/cameras", json={"name": "new", "uri": "there is no camera.mp4"})
    assert answer.status_code == 422
    assert "there is no camera.mp4" in answer.json()["error"]
    answer = site.patch("/cameras/left", json={"uri": "there is a camera.mp4"})
    assert answer.status_code == 422


def test_wrong_cameras_are_refused_with_a_reason(site):
    for body, status, text in (
        ({"name": "left", "uri": "x.mp4"}, 409, "there is a camera 'left' already"),
        ({"name": "new", "url": "x"}, 422, "did you mean 'uri'"),
        ({"name": "new", "uri": "rtsp://u:hunter2@h/1", "stride": 0}, 422, "stride"),
        ({"name": "new", "uri": "missing.mp4"}, 422, "missing.mp4"),
    ):
        answer = site.post("/cameras", json=body)
        assert answer.status_code == status, body
        assert text in answer.json()["error"]
        assert "hunter2" not in answer.text
    assert site.patch("/cameras/left", json={"name": "other"}).status_code == 422
    assert "missing.mp4" in site.patch("/cameras/left", json={"uri": "missing.mp4"}).json()["error"]
    assert site.get("/cameras/left").json()["state"] == "connected"  # what is refused changes nothing
    assert site.get("/changes").json() == {}
    assert site.post("/cameras/nobody/pause").status_code == 404
    assert site.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b'{"name": "new", "uri": "rtsp://u:hunter2@h/1"'},
        {"json": [{"name": "new", "uri": "rtsp://u:hunter2@h/1"}]},
        {"json": "rtsp://u:hunter2@h/1"},
        {"data": {"name": "new", "uri": "rtsp://u:hunter2@h/1"}},
        {},
    ],
)
def test_what_is_no_camera_is_refused_without_repeating_it(site, sent):
    for answer in (site.post("/cameras", **sent), site.patch("/cameras/left", **sent)):
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("the body is not what is wanted: one JSON object")
        assert "hunter2" not in answer.text


def test_every_refusal_has_the_same_form(site):
    for answer, status in (
        (site.get("/nothing"), 404),
        (site.put("/cameras/left"), 405),
        (site.get("/identities/nobody"), 422),
        (site.get("/identities?limit=0"), 422),
        (site.get("/identities/999999"), 404),
        (site.get("/events?topics=nonsense"), 422),
        (site.get("/cameras", headers={"Host": "rebound.example"}), 403),
    ):
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]


def test_passwords_are_never_shown(site, monkeypatch):
    monkeypatch.setenv("SOMETHING_SECRET", "do-not-tell")
    for name, uri in (
        ("gate", "rtsp://viewer:hunter2@127.0.0.1:9/live?token=abcdef"),
        ("odd", "rtsp://127.0.0.1:9/${SOMETHING_SECRET}"),
    ):
        assert site.post("/cameras", json={"name": name, "uri": uri}).status_code == 201
    time.sleep(0.5)
    shown = "".join(site.get(path).text for path in ("/cameras", "/cameras/gate", "/run", "/metrics"))
    assert "gate" in shown
    for secret in ("hunter2", "abcdef", "do-not-tell"):
        assert secret not in shown


def test_identities_and_metrics(site, until):
    until(lambda: len(site.get("/identities").json()) >= 2)
    people = site.get("/identities?camera=left").json()
    assert people[0]["cameras"] == ["left"]
    until(lambda: site.get("/identities").json()[0]["last_seen"] is not None)
    assert site.get(f"/identities/{people[0]['global_id']}").json()["tracks"] == people[0]["tracks"]
    assert site.get("/identities/999999").status_code == 404
    families = {f.name: f for f in prometheus.text_string_to_metric_families(site.get("/metrics").text)}
    for name in (
        "frames",
        "frames_dropped",
        "reconnects",
        "stage_seconds",
        "frame_age_seconds",
        "identities",
        "engine_info",
        "load_ratio",
    ):
        assert f"streamreid_{name}" in families, sorted(families)
    frames = {s.labels["camera"]: s.value for s in families["streamreid_frames"].samples if s.name.endswith("_total")}
    assert frames["left"] > 5
    buckets = [s.value for s in families["streamreid_frame_age_seconds"].samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] > 5


def test_events_as_they_happen_and_again_after_a_break(site):
    seen, number = [], 0
    with site.stream("GET", "/events?topics=identity,camera,people") as stream:
        site.post("/cameras", json={"name": "right", "uri": site.right, "live": True, "repeat": 50})
        for line in stream.iter_lines():
            if line.startswith("event: "):
                seen.append(line[7:])
            if line.startswith("id: "):
                number = int(line[4:])
            if {"identity", "camera", "people"} <= set(seen):
                break
    with site.stream("GET", "/events", headers={"Last-Event-ID": "0"}) as stream:
        first = next(json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
    assert first["camera"] in ("left", "right")
    assert number > 0
    assert site.get("/events?topics=nonsense").status_code == 422


@pytest.mark.wall_time
def test_a_client_that_never_reads_holds_nobody_up(site, until):
    host, port = site.server.address.removeprefix("http://").split(":")
    dead = [socket.create_connection((host, int(port))) for _ in range(5)]
    for connection in dead:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.sendall(b"GET /events?topics=people,identity,camera HTTP/1.1\r\nHost: localhost\r\n\r\n")
    before = site.get("/cameras/left").json()["frames"]
    for _ in range(20_000):
        site.server.board.hub.publish("people", {"filler": "x" * 200})
    until(lambda: site.get("/cameras/left").json()["frames"] > before + 10)
    began = time.monotonic()
    site.running.stop()
    assert time.monotonic() - began < 5
    for connection in dead:
        connection.close()


def test_other_sites_and_other_machines_are_kept_out(site):
    assert site.get("/cameras", headers={"Origin": "https://evil.example"}).status_code == 403
    assert site.get("/cameras", headers={"Host": "rebound.example"}).status_code == 403
    assert site.get("/healthz", headers={"Host": "10.0.0.7"}).status_code == 200


def test_a_token_is_needed_where_others_are_served(scene, colours, monkeypatch):
    monkeypatch.delenv("STREAMREID_TOKEN", raising=False)
    config = scene.config(scene.camera("left", [0]))
    config = config.model_copy(update={"cameras": (config.cameras[0].model_copy(update={"live": True}),)})
    with Pipeline(config, embedder=colours, stay=True) as pipeline:
        with pytest.raises(ConfigError, match="needs a token"):
            Server(pipeline, ServerConfig(listen="0.0.0.0:0"))
        config = ServerConfig.model_validate({"listen": "0.0.0.0:0", "token": "sesame"})
        with Server(pipeline, config) as server:
            address = server.address.replace("0.0.0.0", "127.0.0.1")
            assert httpx.get(f"{address}/cameras").status_code == 401
            assert httpx.get(f"{address}/cameras", headers={"Authorization": "Bearer wrong"}).status_code == 401
            assert httpx.get(f"{address}/cameras", headers={"Authorization": "Bearer sesame"}).status_code == 200
            assert httpx.get(f"{address}/readyz").status_code in (200, 503)
            port = int(server.address.rpartition(":")[2])
            with pytest.raises(ConfigError, match="Choose another port"):
                Server(pipeline, ServerConfig(listen=str(port)))
        assert "sesame" not in config.model_dump_json()
        assert "sesame" not in repr(config)


@pytest.mark.parametrize(
    ("text", "parsed"), [("8080", ("127.0.0.1", 8080)), ("0.0.0.0:1", ("0.0.0.0", 1)), ("[::1]:80", ("::1", 80))]
)
def test_addresses(text, parsed):
    assert parse_address(text) == parsed


@pytest.mark.parametrize("text", ["", "host", "host:port", "1:2:3", "99999", "-1"])
def test_wrong_addresses(text):
    with pytest.raises(ConfigError, match="write PORT or HOST:PORT"):
        parse_address(text)


def test_the_gallery_is_counted(scene, colours, tmp_path, background, until):
    config = scene.config(scene.camera("left", [0, 1], frames=300), gallery={"store": str(tmp_path / "gallery.db")})
    camera = config.cameras[0].model_copy(update={"live": True, "repeat": 50})
    config = config.model_copy(update={"cameras": (camera,)})
    with Pipeline(config, embedder=colours) as pipeline, Server(pipeline, ServerConfig(listen="0")) as server:
        running = background(pipeline, tmp_path / "out", (server.board,))
        until(lambda: pipeline.statistics.frames > 5)
        text = httpx.get(f"{server.address}/metrics").text
        assert "/cameras" in httpx.get(server.address).json()["paths"]
        running.stop()
    assert "streamreid_gallery_size" in text
    assert "streamreid_gallery_failing 0.0" in text
    assert "streamreid_gallery_lost_total 0.0" in text
