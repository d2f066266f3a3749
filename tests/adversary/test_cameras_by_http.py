"""Cameras that should not be accepted, cameras that hang, and what a start does with those that were accepted once."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

httpx = pytest.importorskip("httpx")

SECRET = "ab-secret-of-another-program"


@pytest.fixture(scope="module")
def film_uri(film):
    return str(film / "left.mp4")


def post(service, body, **options):
    content = body if isinstance(body, str) else json.dumps(body)
    return httpx.post(
        f"{service.address}/cameras",
        content=content,
        headers={"Content-Type": "application/json"},
        timeout=40,
        **options,
    )


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ('"offset": NaN', "offset"),
        ('"fps": Infinity', "fps"),
        ('"start": 1e400', "start"),
        ('"roi": [[0, 0], [NaN, 0], [1, 1]]', "roi"),
        ('"roi": [[0, 0], [1e300, 0], [1, 1]]', "roi"),
        ('"timeout": 10000', "timeout: seconds, and at most 900; for milliseconds write 10"),
        ('"connect_timeout": 5000', "connect_timeout"),
        ('"reconnect_seconds": 2000', "reconnect_seconds"),
        ('"offset": 1700000000000', "offset"),
        ('"size": [0, -5]', "size"),
        ('"stride": 1000000000000000000000', "stride"),
        ('"calibration": "/etc/passwd"', "calibration"),
        ('"calibration": "missing.txt"', "calibration"),
        ('"calibration": "/dev/zero"', "calibration"),
        ('"calibration": {"matrix": [[0, 0, 0], [0, 0, 0], [0, 0, 0]]}', "calibration"),
        ('"calibration": {"points": [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]]}', "calibration"),
        ('"calibration": {"matrix": [[1, 0, 0], [0, NaN, 0], [0, 0, 1]]}', "calibration"),
        ('"colour": "red"', "unknown key 'colour'"),
    ],
)
def test_settings_are_checked_as_in_the_yaml(service, film_uri, settings, key):
    answer = post(service, f'{{"name": "new", "uri": {json.dumps(film_uri)}, "live": true, {settings}}}')
    assert answer.status_code == 422
    assert key in answer.json()["error"]
    assert [c["name"] for c in service.get("/cameras").json()] == ["left"]
    assert service.get("/changes").json() == {}


@pytest.mark.parametrize(
    "uri",
    [
        "foo://bar",
        "concat:///etc/passwd",
        "subfile://etc/passwd",
        "pipe://0",
        "unix:///run/x.sock",
        "data://text,x",
        "rtsp://",
        "rtsp://[::1",
        "zero\0byte.mp4",
        "new\nline.mp4",
        "\ud800",
        "a" * 300,
        "a/" * 2040,
        "12345678901",
        "²",
        "rtsp://viewer:***@127.0.0.1:9/x",
        "/etc/passwd",
        "/dev/null",
        "",
    ],
)
def test_addresses_that_cannot_be_played_are_refused(service, uri):
    answer = post(service, {"name": "new", "uri": uri, "live": True, "size": [160, 120], "fps": 10})
    assert answer.status_code == 422, answer.text
    assert (
        "uri" in answer.json()["error"]
        or "camera 'new'" in answer.json()["error"]
        or "text in the body" in answer.json()["error"]
    )
    assert [c["name"] for c in service.get("/cameras").json()] == ["left"]


@pytest.mark.parametrize("suffix", ["txt", "csv", "json", "npy", "npz", "xml", "dat"])
def test_messages_never_quote_what_stands_in_other_files(service, film_uri, tmp_path, suffix):
    path = tmp_path / f"private.{suffix}"
    text = (
        f'<Camera><Geometry dpx="{SECRET}"/><Intrinsic/><Extrinsic/></Camera>'
        if suffix == "xml"
        else f"{SECRET}:x:0:0\n1,2,{SECRET}\n"
    )
    path.write_text(json.dumps([SECRET, {SECRET: 1}]) if suffix == "json" else text)
    as_calibration = post(service, {"name": "new", "uri": film_uri, "live": True, "calibration": str(path)})
    as_source = post(service, {"name": "new", "uri": str(path), "live": True, "size": [160, 120], "fps": 10})
    for answer in (as_calibration, as_source):
        assert answer.status_code == 422
        assert SECRET[:12] not in answer.text
        assert path.name in answer.text
    assert SECRET not in service.output


def test_an_address_that_is_shown_can_be_sent_back(start):
    service = start()
    hidden = {
        "one": "rtsp://viewer:hunter2@127.0.0.1:9/live?token=abcdef&channel=1",
        "two": "rtsp://viewer:hunter2@127.0.0.1:9/live",
    }
    for name, uri in hidden.items():
        assert post(service, {"name": name, "uri": uri}).status_code == 201
        shown = service.get(f"/cameras/{name}").json()["uri"]
        assert "***" in shown
        answer = httpx.patch(f"{service.address}/cameras/{name}", json={"uri": shown, "stride": 2}, timeout=20)
        assert answer.status_code == 200
        assert service.kept()[name]["settings"]["uri"] == uri
    patch = f"{service.address}/cameras/two"
    moved = httpx.patch(patch, json={"uri": "rtsp://viewer:***@127.0.0.1:9/other"}, timeout=20)
    assert moved.status_code == 200
    assert service.kept()["two"]["settings"]["uri"] == "rtsp://viewer:hunter2@127.0.0.1:9/other"
    for elsewhere in (
        "rtsp://viewer:***@127.0.0.2:9/other",
        "rtsp://viewer:***@127.0.0.1:10/other",
        "rtsp://root:***@127.0.0.1:9/other",
    ):
        answer = httpx.patch(patch, json={"source": elsewhere}, timeout=20)
        assert answer.status_code == 422, elsewhere  # or the password would be sent to whoever is there
        assert "write the password itself" in answer.json()["error"]
    shown = (
        "".join(service.get(path).text for path in ("/cameras", "/cameras/one", "/changes", "/run", "/metrics"))
        + service.output
    )
    assert "hunter2" not in shown
    assert "abcdef" not in shown


def test_cameras_that_hang_silence_nobody(service):
    """A server that accepts and says nothing; opening it waits for the time limit of the camera."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent, ThreadPoolExecutor(45) as pool:
        uri = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        body = {"uri": uri, "reconnect": 0, "connect_timeout": 2, "timeout": 2}
        asked = [pool.submit(post, service, {"name": f"hangs{i}", **body}) for i in range(45)]
        time.sleep(1.0)
        for _ in range(5):
            assert service.probe() < (200, 1.0) or service.probe() < (200, 1.0)
            assert service.get("/cameras").status_code == 200
            assert service.get("/metrics").status_code == 200
        statuses = {answer.result().status_code for answer in asked}
    assert statuses <= {422, 503, 504}
    assert 503 in statuses  # more at once are refused
    assert [c["name"] for c in service.get("/cameras").json()] == ["left"]


def test_one_change_of_a_camera_at_a_time(service):
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent, ThreadPoolExecutor(2) as pool:
        body = {
            "name": "slow",
            "uri": f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x",
            "reconnect": 0,
            "connect_timeout": 2,
        }
        answers = sorted(answer.result().status_code for answer in [pool.submit(post, service, body) for _ in range(2)])
    assert answers == [422, 503]


def test_what_was_accepted_never_stops_the_next_start(start, film, film_uri, tmp_path):
    """A calibration that is deleted, a value that is not allowed any more, an entry that is nonsense: said, kept, and
    the run begins."""
    service = start()
    matrix = tmp_path / "matrix.txt"
    matrix.write_text("0.01 0 0\n0 0.01 0\n0 0 1\n")
    camera = {"uri": film_uri, "live": True, "repeat": 1000}
    assert post(service, {"name": "measured", **camera, "calibration": str(matrix)}).status_code == 201
    assert post(service, {"name": "other", **camera}).status_code == 201
    assert post(service, {"name": "left-2", "uri": "rtsp://127.0.0.1:9/x"}).status_code == 201
    assert service.stop()[0] == 130
    matrix.write_text("nothing")
    path = service.results / "cameras.json"
    data = json.loads(path.read_text())
    data["cameras"]["other"]["settings"]["timeout"] = 10_000
    data["cameras"]["odd"] = 7
    path.write_text(json.dumps(data))
    again = start(name="site")
    assert sorted(c["name"] for c in again.get("/cameras").json()) == ["left", "left-2"]
    assert again.get("/changes").json() == {
        "left-2": ["added"],
        "measured": ["set aside"],
        "other": ["set aside"],
        "odd": ["set aside"],
    }
    for said in ("camera 'measured'", "camera 'other'", "timeout"):
        assert said in again.output
    # What was set aside stays, until it is replaced or removed.
    assert httpx.delete(f"{again.address}/cameras/left-2", timeout=20).status_code == 204
    assert set(again.kept()) == {"measured", "other", "odd"}
    assert httpx.delete(f"{again.address}/cameras/odd", timeout=20).status_code == 204
    assert post(again, {"name": "other", **camera}).status_code == 201
    assert set(again.kept()) == {"measured", "other"}
    assert again.get("/changes").json() == {"measured": ["set aside"], "other": ["added"]}


def test_a_failed_write_is_tried_again(start):
    service = start()
    block = service.results / "cameras.json.part"
    block.mkdir()
    answer = httpx.patch(f"{service.address}/cameras/left", json={"stride": 2}, timeout=20)
    assert answer.status_code == 500
    assert "tried again" in answer.json()["error"]
    assert service.get("/cameras/left").json()["stride"] == 2
    assert not (service.results / "cameras.json").exists()
    block.rmdir()
    deadline = time.monotonic() + 60
    while not (service.results / "cameras.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert service.kept()["left"]["settings"] == {"stride": 2}
    assert "are kept now" in service.output


def test_metrics_answer_while_the_gallery_is_away():
    from streamreid.errors import GalleryBusy
    from streamreid.serving.metrics import GalleryCount

    there, hang = threading.Event(), threading.Event()
    there.set()

    def stats():
        if not there.is_set():
            hang.wait(60)
            raise GalleryBusy("away")
        return {"identities": 7}

    count = GalleryCount(stats, every=0.0)
    assert count() == (7, True)
    there.clear()
    began = time.monotonic()
    assert count() == (7, False)  # it hangs
    assert count() == (7, False)
    assert time.monotonic() - began < 20
    hang.set()
    time.sleep(0.1)
    assert count() == (7, False)  # it fails
    there.set()
    assert count() == (7, True)
