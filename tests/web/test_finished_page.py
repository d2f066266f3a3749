"""The page of a run that is over: people move in its recordings, and everything can be asked that its files say."""

import json
import shutil
import struct

import httpx
import pytest

from streamreid.errors import ConfigError
from streamreid.serving.request_bodies import json_object
from tests.support import web as sites


def frame(address, camera, **asked):
    """What is where in a frame, and its JPEG."""
    data = httpx.get(f"{address}/page/frame/{camera}", params=asked, timeout=30).raise_for_status().content
    head, body, _ = struct.unpack(">III", data[4:16])
    assert len(data) == 16 + head + body
    return json.loads(data[16 : 16 + head]), data[16 + head :]


def test_a_person_moves_in_a_recording(finished_site, visit):
    def act(page):
        page.goto(f"{finished_site}/page/live")
        assert page.locator("h1").text_content() == "Playback"
        box = "camera-view[camera=hall] rect"
        page.wait_for_selector(box, state="attached")
        first = page.locator(box).first.get_attribute("x")
        page.get_by_role("button", name="Play").click()
        page.wait_for_function("([box, x]) => document.querySelector(box)?.getAttribute('x') !== x", arg=[box, first])
        return page.locator("#clock").text_content()

    assert visit(act).startswith("00:0")


def test_a_frame_shows_who_was_where_at_its_time(finished_site):
    early, picture = frame(finished_site, "entrance", time=1.0, width=320)
    late, _ = frame(finished_site, "entrance", time=2.5, width=320)
    assert picture.startswith(b"\xff\xd8")
    assert early["time"] == pytest.approx(1.0)
    assert early["size"] == [320, 240]
    lefts = [{p["global_id"]: p["box"][0] for p in header["people"]} for header in (early, late)]
    assert len(lefts[0]) == 2
    assert all(lefts[1][who] - left == pytest.approx(30 / 320, abs=0.02) for who, left in lefts[0].items())


def test_a_run_without_its_recordings_shows_boxes_and_says_why_there_is_no_picture(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    for camera in summary["configuration"]["cameras"]:
        camera["uri"] = "gone.mp4"
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    with sites.finished_page(tmp_path / "run") as address:
        header, picture = frame(address, "hall", time=1.0)
        assert picture == b""
        assert (len(header["people"]), header["size"]) == (2, [320, 240])
        assert "gone.mp4" in httpx.get(f"{address}/page/run").text
        assert httpx.get(f"{address}/page/picture/hall").status_code == 404


def test_what_can_be_asked_of_a_live_run_can_be_asked_of_one_that_is_over(finished_site):
    with httpx.Client(base_url=finished_site, timeout=30) as client:
        people = client.get("/identities").json()
        assert [len(person["cameras"]) for person in sorted(people, key=lambda p: p["global_id"])].count(2) == 1
        one = client.get(f"/identities/{people[0]['global_id']}").json()
        assert one["appearances"][0]["start"] < one["appearances"][0]["end"]
        assert client.get("/identities/999").status_code == 404
        assert [camera["state"] for camera in client.get("/cameras").json()] == ["finished", "finished"]
        assert client.get("/cameras/cellar").status_code == 404
        assert {zone["name"] for zone in client.get("/zones").json()} >= {"camera:hall", "everywhere"}
        rows = client.get("/counts", params={"place": "hall"}).json()["rows"]
        assert rows[0]["unique"] == 2
        assert client.get("/counts", params={"place": "hell"}).status_code == 422
        assert client.get("/flows").json() == {"rows": []}  # who is in both cameras all the time goes nowhere
        assert client.get("/run").json()["identities"] == 3
        assert client.post("/cameras", json={}).status_code == 405


def test_what_is_no_number_is_refused(finished_site):
    with httpx.Client(base_url=finished_site, timeout=30) as client:
        for time in ("nan", "inf", "-Infinity", "1e400"):
            for path in ("/page/frame/hall", "/page/picture/hall", "/page/crop/hall/1"):
                assert client.get(path, params={"time": time}).status_code == 422, (path, time)
            assert 'class="error"' in client.get("/page/search", params={"time": time}).text


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_bodies_hold_no_number_that_json_does_not_have(number):
    with pytest.raises(ConfigError, match="at: JSON has neither infinity nor NaN"):
        json_object("application/json", f'{{"at": {number}}}'.encode())
