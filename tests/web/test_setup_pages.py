"""The pages Places and Cameras of a live run, in a browser."""

import json
import urllib.request

import numpy as np
import pytest
from PIL import Image

from streamreid import Pipeline
from streamreid.config import Config
from streamreid.ground.calibration_files import load_calibration
from streamreid.runs import run
from streamreid.runs.place_editor import PlaceEditor
from tests.support.web import ColourDetector, ColourEmbedder, LiveRun, finished_page

pytest.importorskip("ruamel.yaml")

FLOOR = np.array([[0, 0], [4, 0], [4, 6], [0, 6], [2, 3], [1, 4.5]], float)


@pytest.fixture(scope="module")
def site(films, tmp_path_factory):
    """A run of the camera 'hall', whose cameras may be changed."""
    folder = tmp_path_factory.mktemp("setup")
    hall = {"name": "hall", "uri": str(films / "hall.mp4"), "live": True, "repeat": 10_000, "stride": 2}
    with LiveRun(Config.from_dict({"cameras": [hall], "engine": {"model": "none"}}), folder / "run") as live:
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
        page.fill("#add [name=name]", "yard")
        page.fill("#add [name=uri]", str(films / "entrance.mp4"))
        page.check("#add [name=live]")
        page.click("#test")
        page.wait_for_selector("#tested img")
        said = page.locator("#tested").text_content()
        page.click("#add button.primary")
        page.wait_for_selector("#list tr[data-camera=yard] .state-connected")
        page.click("#list tr[data-camera=yard] button:has-text('Pause')")
        page.wait_for_selector("#list tr[data-camera=yard] .state-paused")
        page.click("#list tr[data-camera=yard] button.danger")
        page.click("#question button[value=yes]")
        page.wait_for_selector("#list tr[data-camera=yard]", state="detached")
        return said

    assert "320 x 240" in visit(act)
    assert [camera["name"] for camera in ask(site, "/cameras")] == ["hall"]


def test_a_camera_is_calibrated_by_clicks_to_centimetres(site, visit):
    onto = np.array([[60.0, 5.0, 40.0], [0.0, -13.0, 210.0], [0.0, 0.06, 1.0]])

    def pixels(floor):
        moved = np.concatenate([floor, np.ones((len(floor), 1))], 1) @ onto.T
        return moved[:, :2] / moved[:, 2:]

    def act(page):
        page.goto(f"{site.address}/page/cameras/hall")
        shown(page, "hall")
        for number, (place, (x, y)) in enumerate(zip(FLOOR, pixels(FLOOR) / (320, 240), strict=True)):
            click(page, "#layer", [(x, y)])
            for axis in (0, 1):
                page.fill(f"[data-place='{number} {axis}']", str(place[axis]))
        page.wait_for_selector("#keep:not([disabled])")
        said = page.locator("#found").text_content()
        page.click("#keep")
        page.wait_for_selector("#said:has-text('The calibration is kept')")
        return said

    assert "Median error" in visit(act)
    (config,) = site.pipeline.cameras.configs
    camera = load_calibration("hall", config.calibration).scaled((320, 240))
    elsewhere = np.array([[1.0, 1.0], [3.0, 2.0], [2.0, 5.0], [3.0, 5.0], [0.5, 3.0]])
    assert np.median(np.linalg.norm(camera.to_plane(pixels(elsewhere)) - elsewhere, axis=1)) < 0.05


def test_a_plan_gets_its_scale_by_two_clicks(site, tmp_path, visit):
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
        page.goto(f"{site.address}/page/places?on=plan")
        return page.locator("#draw").count()

    assert visit(act) == 1
    assert ask(site, "/plan")["metres_per_pixel"] == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize(
    ("path", "dark"),
    [
        ("/page/places/hall?heat=1", False),
        ("/page/places/hall?heat=1", True),
        ("/page/cameras", False),
        ("/page/cameras/hall", True),
    ],
)
def test_pages_can_be_read_by_everybody(site, visit, axe, path, dark):
    def act(page):
        page.goto(site.address + path)
        page.wait_for_selector("#connection:has-text('connected')")
        return axe(page), page.evaluate("document.documentElement.scrollWidth - innerWidth")

    assert visit(act, width=390, dark=dark) == ([], 0)


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
