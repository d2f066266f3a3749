"""Requests that are too large, too slow, too many, or sent on behalf of somebody else's page, against a real
service."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

httpx = pytest.importorskip("httpx")


@pytest.mark.wall_time
def test_a_long_path_is_refused_at_once_and_the_cameras_go_on(service):
    for letters in (3_000, 12_000, 60_000):
        began = time.monotonic()
        connection = service.connect(
            b"GET /cameras/" + b"a" * letters + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        status = service.answer(connection)[9:12]
        assert status in (b"414", b"400"), letters
        assert time.monotonic() - began < 2.0
    before = service.frames()
    time.sleep(0.5)
    assert service.frames() > before


def test_headers_are_bounded(service):
    for header in ({"X-Long": "a" * 30_000}, {f"X-{i}": "a" * 200 for i in range(100)}):
        assert service.get("/cameras", headers=header).status_code in (400, 431)


@pytest.mark.parametrize("kind", ["announced", "chunked"])
def test_bodies_are_bounded(service, kind):
    body = json.dumps({"name": "a" * (3 << 20), "uri": "x"}).encode()
    pieces = (body[i : i + 65536] for i in range(0, len(body), 65536))
    sent = body if kind == "announced" else pieces
    answer = httpx.post(
        f"{service.address}/cameras", content=sent, headers={"Content-Type": "application/json"}, timeout=30
    )
    assert answer.status_code == (413 if kind == "announced" else 411)
    assert len(answer.content) < 500


@pytest.mark.wall_time
def test_a_body_may_be_large_but_not_work(service):
    """Within the limit of bytes: many keys, deep lists, long texts, long numbers, a key given twice. None takes long or
    is repeated."""
    many = json.dumps({f"key{i}": i for i in range(40_000)})
    bodies = {
        "too large": many,
        "is not what is wanted": "[" * 500_000,
        "characters": json.dumps({"name": "a" * 900_000, "uri": "x"}),
        "camera: uri": json.dumps({"name": "a", "uri": 10**3000}),
        "given twice": '{"name": "a", "name": "b", "uri": "x"}',
        "unknown key": json.dumps({f"key{i}": i for i in range(5_000)}),
    }
    for text, body in bodies.items():
        began = time.monotonic()
        answer = httpx.post(
            f"{service.address}/cameras", content=body, headers={"Content-Type": "application/json"}, timeout=30
        )
        assert answer.status_code == 422, text
        assert text in answer.json()["error"]
        assert len(answer.content) < 10_000
        assert time.monotonic() - began < 3.0, text
    assert service.probe()[0] == 200


FOREIGN = (
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:1"},
    {"Origin": "https://127.0.0.1"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "rebound.example"},
    {"Host": "rebound.example:8080"},
    {"Host": "localhost@evil.example"},
    {"Host": "evil.example:80@localhost"},
    {"Host": "[::1"},
    {"Host": "localhost.evil.example"},
    {"Host": ""},
)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_other_origins_and_names_are_refused_whatever_the_method(service, headers):
    with service.client(headers=headers) as client:
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PATCH", "DELETE", "ODD"):
            for path in ("/cameras", "/cameras/left", "/events", "/metrics", "/"):
                answer = client.request(
                    method,
                    path,
                    json={"name": "x", "uri": "rtsp://127.0.0.1:9/x"} if method in ("POST", "PATCH") else None,
                )
                assert answer.status_code == 403, (method, path)
                assert not any(name.startswith("access-control") for name in answer.headers)
    assert [c["name"] for c in service.get("/cameras").json()] == ["left"]


def test_our_own_pages_and_programs_may_ask(service):
    port = service.port
    for headers in (
        {"Origin": service.address, "Sec-Fetch-Site": "same-origin"},
        {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"},
        {"Host": "[::1]:80", "Origin": "http://[::1]"},
        {"Sec-Fetch-Site": "none"},
        {},
    ):
        answer = service.get("/cameras", headers=headers)
        assert answer.status_code == 200, headers
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_a_header_that_decides_may_not_be_there_twice(service):
    sent = (
        f"GET /cameras HTTP/1.1\r\nHost: localhost:{service.port}\r\nOrigin: {service.address}\r\nOrigin: "
        "http://evil.example\r\n\r\n"
    )
    assert service.answer(service.connect(sent.encode()), 0.5).startswith(b"HTTP/1.1 400")


def test_probes_answer_to_everybody(service):
    for headers in ({"Host": "10.0.0.7"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        assert service.get("/healthz", headers=headers).status_code == 200
        assert service.get("/readyz", headers=headers).status_code == 200


def test_whoever_sends_a_header_slowly_is_hung_up_on(service):
    """Bytes keep coming; the deadline counts from the beginning all the same."""
    began = time.monotonic()
    connection = service.connect(b"GET /cameras HTTP/1.1\r\nHost: localhost\r\n")
    answer = b""
    while time.monotonic() - began < 60 and not answer:
        try:
            connection.sendall(b"X")
        except ConnectionError:
            break
        answer = service.answer(connection, 0.5)
    assert 8 < time.monotonic() - began < 45
    assert answer in (b"", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


def test_300_half_sent_requests_hold_up_neither_probes_nor_others(service):
    heads = [service.connect(b"GET /cameras HTTP/1.1\r\nHost: loc") for _ in range(150)]
    body = (
        f"POST /cameras HTTP/1.1\r\nHost: localhost:{service.port}\r\nContent-Type: "
        f"application/json\r\nContent-Length: 1000\r\n\r\n{{"
    )
    bodies = [service.connect(body.encode()) for _ in range(150)]
    time.sleep(0.3)
    assert service.probe()[0] == 200
    assert service.get("/cameras").status_code == 200
    assert service.get("/readyz").status_code == 200
    for connection in (*heads, *bodies):
        connection.close()


@pytest.mark.wall_time
def test_1100_idle_connections_end_nothing(start):
    service = start(descriptors=(512, 1024))
    with open(f"/proc/{service.process.pid}/limits") as file:
        (limits,) = [line.split()[3:5] for line in file if line.startswith("Max open files")]
    assert limits == ["1024", "1024"]  # the program raises what it may raise
    before = service.frames()
    idle = [service.connect() for _ in range(1100)]
    assert service.probe()[0] == 200
    assert service.get("/cameras").status_code == 200
    time.sleep(2.5)  # state.json is written every second: it must still be possible to open files
    assert service.frames() > before
    assert service.process.poll() is None
    assert "Too many open files" not in service.output
    for connection in idle:
        connection.close()
    assert service.stop()[0] == 130


def test_whoever_takes_no_answer_holds_nobody_up(service):
    """Many ask for much and read nothing."""
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50
    connections = [service.connect(asked) for _ in range(40)]
    assert service.probe()[0] == 200
    assert service.get("/cameras").status_code == 200
    for connection in connections:
        connection.close()


@pytest.mark.wall_time
def test_a_signal_is_answered_within_a_second_while_large_requests_come(start):
    """A 40 MB name is sent again and again, and long paths beside it."""
    service = start()
    name = b'{"uri": "x", "name": "' + b"a" * (40 << 20) + b'"}'
    head = (
        f"POST /cameras HTTP/1.1\r\nHost: localhost:{service.port}\r\nContent-Type: "
        f"application/json\r\nContent-Length: {len(name)}\r\n\r\n"
    )
    ended = threading.Event()

    def send(data: bytes) -> None:
        while not ended.is_set():
            try:
                with service.connect() as connection:
                    connection.sendall(data)
                    service.answer(connection, 1.0)
            except OSError:
                time.sleep(0.05)

    path = b"GET /cameras/" + b"rtsp://a:" * 6000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    senders = [threading.Thread(target=send, args=(data,), daemon=True) for data in (head.encode() + name, path, path)]
    for sender in senders:
        sender.start()
    time.sleep(1.0)
    try:
        code, answered = service.stop(signal.SIGTERM)
    finally:
        ended.set()
    assert code == 130
    assert answered < 1.0


def test_listeners_are_bounded_in_number_whatever_they_listen_to(service):
    ask = "GET /events?topics={} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    listeners = [service.connect(ask.format(topic).encode()) for topic in ("identity", "people") for _ in range(40)]
    heads = [connection.recv(12)[9:12] for connection in listeners]
    assert heads.count(b"200") == 64
    assert heads.count(b"503") == 16
    assert service.probe()[0] == 200
    for connection in listeners:
        connection.close()
