"""Cameras tried, calibrated, written into the file and found in the network by HTTP."""

import io
import socket
import threading

import numpy as np
import pytest
from PIL import Image

from streamreid import Pipeline
from streamreid.config import ServerConfig, load_config
from streamreid.config.file_editing import CamerasFile
from streamreid.errors import ConfigError
from streamreid.ground.ground_plan import GroundPlan, PlanScale, checked_plan
from streamreid.runs.calibration_desk import GroundBoard
from streamreid.serving import Server
from streamreid.serving.setup_parts import SetupParts
from tests.support.places import result

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("ruamel.yaml")

FLOOR = np.array([[0, 0], [4, 0], [4, 6], [0, 6], [2, 3]], float)


def seen(floor):
    """Where places are in the picture of a camera, as fractions of it."""
    onto = np.array([[60.0, 5.0, 40.0], [0.0, -13.0, 210.0], [0.0, 0.06, 1.0]])
    moved = np.concatenate([floor, np.ones((len(floor), 1))], 1) @ onto.T
    return moved[:, :2] / moved[:, 2:] / (320, 240)


def picture(size=(400, 300), kind="PNG"):
    data = io.BytesIO()
    Image.new("RGB", size, (240, 240, 240)).save(data, kind)
    return data.getvalue()


@pytest.fixture
def site(scene, colours, tmp_path, background, until):
    gate = scene.camera("gate", [0], frames=145, rate=4)
    path = tmp_path / "cams.yaml"
    path.write_text(f"cameras:\n- {{name: gate, uri: {gate}, live: true, repeat: 50}}   # by the street\n")
    config = scene.config(gate).model_copy(update={"cameras": load_config(path).cameras})
    setup = SetupParts.of_run(tmp_path / "out", path)
    with (
        Pipeline(config, embedder=colours, stay=True) as pipeline,
        Server(pipeline, ServerConfig(listen="127.0.0.1:0"), setup=setup) as server,
    ):
        run = background(pipeline, tmp_path / "out", server.sinks)
        with httpx.Client(base_url=server.address, timeout=20) as client:
            client.gate, client.path, client.setup = str(gate), path, setup
            until(lambda: client.get("/cameras/gate").json()["frames"] > 1)
            yield client
        run.stop()


def test_a_camera_is_calibrated_by_clicks_and_the_file_says_so(site):
    pixels = seen(FLOOR).tolist()
    points = [{"pixel": pixel, "ground": place} for pixel, place in zip(pixels, FLOOR.tolist(), strict=True)]
    answer = site.post("/calibrations", json={"camera": "gate", "points": points}).json()
    assert (answer["usable"], answer["size"], answer["problems"]) == (True, [320, 240], [])
    assert answer["median_error_cm"] < 0.1
    site.setup.ground.write(result("yard", 1, 5.0, {1: (7, 0.5, 0.5)}, world=[[2.0, 3.0]]))
    (person,) = site.post("/calibrations", json={"camera": "gate", "points": points}).json()["people"]
    assert (person["camera"], person["global_id"], person["feet"]) == ("yard", 7, pytest.approx(pixels[4], abs=1e-3))
    assert person["head"][1] < person["feet"][1]
    assert site.patch("/cameras/gate", json={"calibration": answer["calibration"]}).status_code == 200
    change = site.get("/cameras-file").json()
    assert "calibration: {points: [[" in change["diff"]
    assert site.post("/cameras-file", json={"digest": "other"}).status_code == 409
    assert site.post("/cameras-file", json={"digest": change["digest"]}).json()["written"]
    assert "# by the street" in site.path.read_text()
    assert len(load_config(site.path).cameras[0].calibration.points) == 5
    assert site.get("/cameras-file").json()["diff"] == ""
    assert "diff" not in site.post("/cameras-file", json=change).json()
    pairs = [{"pixel": pixel, "other": pixel} for pixel in pixels]
    same = site.post("/calibrations", json={"camera": "gate", "other": "gate", "points": pairs}).json()
    assert same["median_error_cm"] < 0.1


def test_a_plan_with_a_scale_calibrates_too(site):
    assert (
        site.post("/calibrations", json={"camera": "gate", "points": [{"pixel": [0, 0], "plan": [1, 1]}]}).status_code
        == 422
    )
    assert site.get("/plan/picture").status_code == 404
    sent = site.post("/uploads/plan", content=picture(kind="JPEG"), headers={"Content-Type": "image/jpeg"})
    assert sent.json() == {"size": [400, 300], "metres_per_pixel": None, "origin": None}
    scale = {"from": [50, 280], "to": [250, 280], "metres": 4, "origin": [50, 280]}
    assert site.post("/plan/scale", json=scale).json()["metres_per_pixel"] == pytest.approx(0.02)
    plan = PlanScale(0.02, (50, 280)).to_plan(FLOOR).tolist()
    points = [{"pixel": pixel, "plan": place} for pixel, place in zip(seen(FLOOR).tolist(), plan, strict=True)]
    answer = site.post("/calibrations", json={"camera": "gate", "points": points}).json()
    assert np.allclose([point["ground"] for point in answer["points"]], FLOOR)
    assert site.get("/plan/picture").content.startswith(b"\x89PNG")
    kept = GroundPlan(site.path.parent / "out")
    assert (kept.size, kept.scale) == ((400, 300), PlanScale(0.02, (50.0, 280.0)))


def test_a_camera_is_tried_before_it_is_added(site):
    found = site.post("/camera-tests", json={"uri": site.gate}).json()
    assert (found["error"], found["size"]) == (None, [320, 240])
    assert found["picture"].startswith("/9j/")
    assert "missing.mp4" in site.post("/camera-tests", json={"uri": "missing.mp4"}).json()["error"]
    assert site.post("/camera-tests", json={"url": "x"}).status_code == 422


def test_wrong_calibrations_and_scales_are_refused_with_a_reason(site):
    square = [{"pixel": [x, y], "ground": [x, y]} for x in (0.1, 0.9) for y in (0.6, 0.9)]
    for path, body, said in (
        ("/calibrations", {"camera": "gat", "points": square}, "there is no camera 'gat'"),
        ("/calibrations", {"camera": "gate", "points": square[:3]}, "at least 4"),
        ("/calibrations", {"camera": "gate", "points": [{"pixel": [0, 0]}]}, "a point is"),
        ("/calibrations", {"camera": "gate", "points": 7}, "a point is"),
        ("/calibrations", {"camera": "gate"}, "'points'"),
        ("/calibrations", {"camera": "gate", "points": [{"pixel": [0, 0], "other": [0, 0]}] * 4}, "which other camera"),
        ("/plan/scale", {"metres_per_pixel": 1}, "there is no plan"),
        ("/plan/scale", {"from": [0, 0], "to": [0, 0], "metres": 2}, "two places"),
        ("/plan/scale", {"metres_per_pixel": "x"}, "a scale is"),
    ):
        answer = site.post(path, json=body)
        assert answer.status_code in (404, 422), body
        assert said in answer.json()["error"]


def test_plans_that_are_too_large_are_not_unpacked():
    data = picture((300, 300))
    with pytest.raises(ConfigError, match="300x300 pixels"):
        checked_plan(data, most_pixels=89_999)
    with pytest.raises(ConfigError, match="MiB"):
        checked_plan(data, most_bytes=len(data) - 1)
    for bad in (b"", b"GIF89a", data[: len(data) // 2], b"<svg/>", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(ConfigError, match="no picture, or damaged"):
            checked_plan(bad)
    assert checked_plan(data, most_pixels=90_000).startswith(b"\x89PNG")


def test_positions_of_long_ago_are_not_shown():
    board = GroundBoard()
    board.write(result("yard", 1, 5.0, {1: (7, 0.5, 0.5), 2: (8, 0.5, 0.5)}, world=[[2.0, 3.0], [np.nan, np.nan]]))
    assert board.others("gate") == [("yard", 7, (2.0, 3.0))]
    assert board.others("yard") == []
    board.write(result("hall", 1, 50.0, {1: (9, 0.5, 0.5)}, world=[[1.0, 1.0]]))
    assert [who for _, who, _ in board.others("gate")] == [9]


ANSWER = """<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">
<s:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>
<d:Scopes>onvif://www.onvif.org/name/Hall%20North onvif://www.onvif.org/hardware/X1</d:Scopes>
<d:XAddrs>http://192.0.2.7/onvif/device_service</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"""


def test_devices_that_answer_a_probe_are_listed():
    pytest.importorskip("onveef")
    from streamreid.sources.onvif_discovery import find_cameras

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.bind(("127.0.0.1", 0))
        device.settimeout(20)

        def answer():
            said, sender = device.recvfrom(65535)
            assert b"Probe" in said
            for text in ("<no xml", "x" * 60_000, ANSWER, ANSWER):
                device.sendto(text.encode(), sender)

        thread = threading.Thread(target=answer)
        thread.start()
        (found,) = find_cameras(0.5, hosts=[device.getsockname()])
        thread.join()
    assert (found.host, found.name, found.hardware) == ("192.0.2.7", "Hall North", "X1")
    assert found.uri == "rtsp://192.0.2.7:554/"
    for seconds in (0, -1, 1000, float("nan")):
        with pytest.raises(ConfigError, match="seconds"):
            find_cameras(seconds)


def test_a_run_without_a_file_says_so(scene, colours, tmp_path):
    with (
        Pipeline(scene.config(scene.camera("gate", [0])), embedder=colours) as pipeline,
        Server(pipeline, ServerConfig(listen="127.0.0.1:0")) as server,
    ):
        answer = httpx.get(f"{server.address}/cameras-file", timeout=20)
    assert answer.status_code == 404
    assert "no cameras file" in answer.json()["error"]
    with pytest.raises(ConfigError, match="cannot be read"):
        CamerasFile(tmp_path / "gone.yaml").proposal((), (), ())
