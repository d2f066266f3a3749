"""The pages Places and Cameras of a live run, in a browser."""

import json
import struct
import urllib.request
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

from streamreid import Pipeline
from streamreid.config import Config
from streamreid.ground.calibration_files import load_calibration
from streamreid.runs import run
from streamreid.runs.place_editor import PlaceEditor
from tests.support.browser import unreadable
from tests.support.onvif_device import OnvifDevice
from tests.support.web import ColourDetector, ColourEmbedder, LiveRun, finished_page

pytest.importorskip("ruamel.yaml")

FLOOR = np.array([[0, 0], [4, 0], [4, 6], [0, 6], [2, 3], [1, 4.5]], float)
ELSEWHERE = np.array([[1.0, 1.0], [3.0, 2.0], [2.0, 5.0], [3.0, 5.0], [0.5, 3.0]])
"""Places on the floor, metres: those that are clicked, and others at which a calibration is judged."""

YARD = np.array([[60.0, 5.0, 40.0], [0.0, -13.0, 210.0], [0.0, 0.06, 1.0]])
HALL = np.array([[50.0, -9.0, 60.0], [-4.0, -12.0, 220.0], [0.01, 0.05, 1.0]])
"""From the floor to the pictures of two cameras, pixels."""


def pixels(floor, onto):
    """Where places on the floor are in the picture of a camera."""
    moved = np.concatenate([floor, np.ones((len(floor), 1))], 1) @ onto.T
    return moved[:, :2] / moved[:, 2:]


@pytest.fixture(scope="module")
def site(films, tmp_path_factory):
    """A run of the cameras 'hall' and 'yard', of which 'yard' is calibrated; they may be changed."""
    folder = tmp_path_factory.mktemp("setup")
    hall = {"name": "hall", "uri": str(films / "hall.mp4"), "live": True, "repeat": 10_000, "stride": 2}
    clicked = np.concatenate([pixels(FLOOR, YARD), FLOOR], 1).round(4).tolist()
    yard = {**hall, "name": "yard", "calibration": {"points": clicked}}
    with LiveRun(Config.from_dict({"cameras": [hall, yard], "engine": {"model": "none"}}), folder / "run") as live:
        for path in ("/page/places/hall", "/page/cameras"):  # what is slow only once is no part of a test
            urllib.request.urlopen(live.address + path, timeout=120).close()
        yield live


def ask(site, path):
    with urllib.request.urlopen(site.address + path, timeout=30) as answer:
        return json.loads(answer.read())


def click(page, selector, points):
    """Click places of an element, given in fractions of it."""
    page.locator(selector).scroll_into_view_if_needed()
    area = page.locator(selector).bounding_box()
    for x, y in points:
        page.mouse.click(area["x"] + x * area["width"], area["y"] + y * area["height"])


def shown(page, camera):
    page.wait_for_selector(f"camera-view[camera={camera}][data-time]")


@pytest.mark.wall_time
def test_a_zone_that_is_drawn_counts(site, visit):
    def act(page):
        page.goto(f"{site.address}/page/places/hall")
        shown(page, "hall")
        click(page, "#layer", [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)])
        page.fill("#draw [name=name]", "floor")
        page.click("#draw button.primary")
        row = "#now tr[data-place=floor] td"
        page.wait_for_function("row => Number(document.querySelector(row)?.textContent) >= 1", arg=f"{row}.number")
        page.wait_for_selector("#drawn polygon", state="attached")
        page.select_option("#draw [name=kind]", "line")
        click(page, "#layer", [(0.4, 0.1), (0.4, 0.95), (0.5, 0.5)])
        page.fill("#draw [name=name]", "door")
        page.click("#draw button.primary")
        page.wait_for_function(
            "() => [...document.querySelectorAll('#now tr[data-place=door] .number')]"
            ".some(cell => Number(cell.textContent) >= 1)"
        )
        page.click("#now tr[data-place=door] button")
        page.click("#question button[value=yes]")
        page.wait_for_selector("#now tr[data-place=door]", state="detached")

    visit(act)
    (zone,) = ask(site, "/places")["zones"]
    assert (zone["name"], np.round(zone["polygon"], 1).tolist()) == ("floor", [[0, 0], [1, 0], [1, 1], [0, 1]])
    assert ask(site, "/places")["lines"] == []
    assert {place["name"]: place for place in ask(site, "/zones")}["floor"]["since"] is not None
    PlaceEditor(site.pipeline).remove_zone("floor")


@pytest.mark.wall_time
def test_a_camera_is_added_tested_paused_and_removed(site, films, visit):
    def act(page):
        page.goto(f"{site.address}/page/cameras")
        page.fill("#add [name=name]", "gate")
        page.fill("#add [name=uri]", str(films / "entrance.mp4"))
        page.check("#add [name=live]")
        page.click("#test")
        page.wait_for_selector("#tested img")
        said = page.locator("#tested").text_content()
        page.click("#add button.primary")
        page.wait_for_selector("#list tr[data-camera=gate] .state-connected")
        page.click("#list tr[data-camera=gate] button:has-text('Pause')")
        page.wait_for_selector("#list tr[data-camera=gate] .state-paused")
        page.click("#list tr[data-camera=gate] button.danger")
        page.click("#question button[value=yes]")
        page.wait_for_selector("#list tr[data-camera=gate]", state="detached")
        return said

    assert "320 x 240" in visit(act)
    assert [camera["name"] for camera in ask(site, "/cameras")] == ["hall", "yard"]


def test_the_address_of_a_stream_comes_from_the_camera(site, visit):
    pytest.importorskip("onveef")

    def act(page):
        page.goto(f"{site.address}/page/cameras")
        page.fill("#device-host", f"127.0.0.1:{device.port}")
        page.click("#ask-device")
        page.wait_for_selector("#device-streams:has-text('wants a user and a password')")
        page.fill("#add [name=user]", "viewer")
        page.fill("#add [name=password]", "p@ss")
        page.click("#ask-device")
        page.click("#device-streams button:has-text('Use main (640 x 360, H264, 25 frames/s)')")
        asked = []
        page.on("request", lambda request: asked.append(request.post_data or ""))
        page.fill("#add [name=name]", "door")
        page.click("#test")
        page.wait_for_selector("#tested p.error")
        return page.input_value("#add [name=uri]"), page.locator("#tested").inner_text(), asked[0]

    with OnvifDevice("viewer", "p@ss", {"main": "rtsp://192.168.1.64:1/live"}) as device:
        uri, said, body = visit(act, errors=("422",))
    assert uri == "rtsp://127.0.0.1:1/live"
    assert json.loads(body)["uri"] == "rtsp://viewer:p%40ss@127.0.0.1:1/live"
    assert "p@ss" not in said
    assert "p%40ss" not in said


def kept_calibration(page):
    """What the page says of a calibration, which is then kept."""
    page.wait_for_selector("#keep:not([disabled])")
    said = page.locator("#found").text_content()
    page.click("#keep")
    page.wait_for_selector("#said:has-text('The calibration is kept')")
    return said


def median_error(site):
    """Metres, of the calibration that the camera 'hall' has now, at places that were not clicked."""
    config = next(config for config in site.pipeline.cameras.configs if config.name == "hall")
    camera = load_calibration("hall", config.calibration).scaled((320, 240))
    return np.median(np.linalg.norm(camera.to_plane(pixels(ELSEWHERE, HALL)) - ELSEWHERE, axis=1))


def test_a_camera_is_calibrated_by_clicks_to_centimetres(site, visit):
    def act(page):
        page.goto(f"{site.address}/page/cameras/hall")
        shown(page, "hall")
        for number, (place, point) in enumerate(zip(FLOOR, pixels(FLOOR, HALL) / (320, 240), strict=True)):
            click(page, "#layer", [point])
            for axis in (0, 1):
                page.fill(f"[data-place='{number} {axis}']", str(place[axis]))
        return kept_calibration(page)

    assert "Median error" in visit(act)
    assert median_error(site) < 0.05


def test_a_camera_is_calibrated_by_the_same_places_in_another_whose_people_are_drawn_at_once(site, visit):
    def act(page):
        page.goto(f"{site.address}/page/cameras/hall")
        page.click("#clear")
        page.select_option("#calibrate [name=known]", label="camera yard, which shows the same floor")
        for camera in ("hall", "yard"):
            shown(page, camera)
        click(page, "#layer", pixels(FLOOR, HALL) / (320, 240))
        click(page, ".partner[data-partner=yard] svg.active", pixels(FLOOR, YARD) / (320, 240))
        page.wait_for_selector("#result .other", state="attached")
        feet = page.locator("#result .other").evaluate_all(
            "lines => lines.map(line => ['x1', 'y1', 'y2'].map(name => Number(line.getAttribute(name))))"
        )
        return feet, kept_calibration(page)

    feet, said = visit(act)
    assert "Median error" in said
    assert median_error(site) < 0.05
    for x, y, head in feet:
        (floor,) = pixels(np.array([[x * 320, y * 240]]), np.linalg.inv(HALL))
        ((_, below),) = pixels(floor[None], YARD)
        assert below == pytest.approx(120, abs=8) or below == pytest.approx(145, abs=8)  # where people walk in 'yard'
        assert head < y


def test_a_plan_gets_its_scale_by_two_clicks_and_calibrates_a_camera(site, tmp_path, visit):
    Image.new("RGB", (400, 200), (250, 250, 250)).save(tmp_path / "plan.png")

    def act(page):
        page.goto(f"{site.address}/page/cameras")
        page.set_input_files("#plan-form [name=file]", tmp_path / "plan.png")
        page.click("#plan-form button")
        page.wait_for_selector("#scale img")
        click(page, "#plan-layer", [(0.1, 0.9), (0.6, 0.9)])
        page.fill("#scale [name=metres]", "10")
        page.click("#scale button.primary")
        page.wait_for_selector("#said:has-text('The scale is set')")
        page.goto(f"{site.address}/page/cameras/hall")
        page.click("#clear")
        page.select_option("#calibrate [name=known]", "plan")
        shown(page, "hall")
        click(page, "#layer", pixels(FLOOR, HALL) / (320, 240))
        # 0.05 m per pixel of the plan, whose origin is the first end of the scale.
        click(page, ".partner[data-partner=''] svg.active", np.array([0.1, 0.9]) + FLOOR * (1, -1) / (20.0, 10.0))
        kept_calibration(page)
        page.goto(f"{site.address}/page/places?on=plan")
        return page.locator("#draw").count()

    assert visit(act) == 1
    assert ask(site, "/plan")["metres_per_pixel"] == pytest.approx(0.05, rel=0.02)
    assert median_error(site) < 0.05


def test_the_way_of_a_person_is_drawn_on_the_plan(site, tmp_path, visit):
    """In pixels of the plan it begins and ends where people's feet are in 'yard', seen from above."""
    Image.new("RGB", (400, 200), (250, 250, 250)).save(tmp_path / "plan.png")
    scale = {"metres_per_pixel": 0.05, "origin": [100, 180]}
    httpx.post(f"{site.address}/uploads/plan", content=(tmp_path / "plan.png").read_bytes()).raise_for_status()
    httpx.post(f"{site.address}/plan/scale", json=scale).raise_for_status()

    def act(page):
        one = next(person for person in ask(site, "/identities") if "yard" in person["cameras"])["global_id"]
        page.goto(f"{site.address}/page/people/{one}")
        page.wait_for_function(
            "() => [...document.querySelectorAll('#way polyline')].some((l) => l.getAttribute('points').length > 200)"
        )
        assert page.evaluate("document.querySelector('#way img').naturalWidth") == 400
        lines = page.locator("#way polyline").evaluate_all("lines => lines.map((l) => l.getAttribute('points'))")
        return page.get_attribute("#way svg", "viewBox"), max(lines, key=len)

    shown, points = visit(act)
    assert shown == "0 0 400 200"
    way = np.array([point.split(",") for point in points.split()], float)
    ground = (way - scale["origin"]) * (0.05, -0.05)
    feet = pixels(ground, YARD)
    assert np.ptp(feet[:, 0]) > 50  # people walk 120 pixels there and back
    lanes = np.abs(feet[:, 1, None] - (120, 145)).min(1)  # the heights at which they do
    assert np.median(lanes) < 10


def claimed(width, height):
    """A PNG whose head says that it is so large; it holds next to nothing."""
    parts = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(64)))
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_what_is_too_large_is_refused_in_words(site, tmp_path, visit):
    large, wide = tmp_path / "large.png", tmp_path / "wide.png"
    large.write_bytes(bytes(12 << 20))
    wide.write_bytes(claimed(9000, 9000))
    for name in ("plan", "search"):
        answer = httpx.post(f"{site.address}/uploads/{name}", content=large.read_bytes())
        assert (answer.status_code, answer.json()) == (
            413,
            {"error": "the body has 12.0 MiB; at most 8 MiB are taken here"},
        )
    answer = httpx.post(f"{site.address}/uploads/plan", content=wide.read_bytes())
    assert answer.status_code == 422
    assert "9000x9000 pixels; at most 25 million" in answer.json()["error"]

    large.write_bytes(bytes(20 << 20))  # of which a server would not even read the end

    def act(page):
        page.goto(f"{site.address}/page/cameras")
        said = []
        for path, part in ((large, "MiB"), (wide, "pixels")):
            page.set_input_files("#plan-form [name=file]", path)
            page.click("#plan-form button")
            page.wait_for_selector(f"#said.error:has-text('{part}')")
            said.append(page.text_content("#said"))
        return said

    first, second = visit(act, errors=("422",))
    assert "20.0 MiB; at most 8 MiB" in first
    assert "9000x9000 pixels" in second


def test_pages_can_be_read_by_everybody(site, visit, axe):
    def act(page):
        return unreadable(page, site.address, axe, ["/page/places/hall?heat=1", "/page/cameras/hall"])

    assert visit(act, width=390) == {}


def test_every_script_is_loaded_once(site, visit):
    """Under two addresses a module acts twice: each click would be sent twice."""

    def act(page):
        asked = []
        page.on("request", lambda request: asked.append(request.url.partition("?")[0]))
        page.goto(f"{site.address}/page/cameras/hall")
        page.wait_for_selector("#connection:has-text('connected')")
        return [address for address in asked if address.endswith(".js")]

    scripts = visit(act)
    assert len(scripts) == len(set(scripts)) >= 4


def test_a_run_that_is_over_shows_its_places_counts_and_where_people_stood(films, tmp_path):
    zone = {"name": "shop", "camera": "hall", "polygon": [[0, 0], [160, 0], [160, 240], [0, 240]]}
    camera = {"name": "hall", "uri": str(films / "hall.mp4")}
    config = Config.from_dict({"cameras": [camera], "engine": {"model": "none"}, "zones": [zone]})
    with Pipeline(config, detector=ColourDetector(), embedder=ColourEmbedder()) as pipeline:
        run(pipeline, tmp_path / "run")
    with (
        finished_page(tmp_path / "run") as address,
        urllib.request.urlopen(f"{address}/page/places/hall?heat=1", timeout=30) as answer,
    ):
        page = answer.read().decode()
    assert '<polygon points="0.0000,0.0000 0.5000,0.0000 0.5000,1.0000 0.0000,1.0000"/>' in page
    assert page.count("<rect ") > 5
    assert 'id="draw"' not in page
    (row,) = [part for part in page.split("<tr>") if '<th scope="row">shop</th>' in part]
    assert '<td class="number">2</td>' in row
