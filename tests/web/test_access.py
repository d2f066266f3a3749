"""Who is let in: by token and session, by Host and Origin, by role; and what pages may load and run."""

import json
import shutil
import socket

import httpx
import pytest

from streamreid.errors import ConfigError
from tests.support import web as sites

OPERATOR, VIEWER = "operators-token-0123456789", "viewers-token-0123456789"


@pytest.fixture(scope="module")
def http():
    """Sends requests as they are."""
    with httpx.Client(timeout=30, verify=False) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(finished_run):
    """The page of a finished run with both tokens."""
    with sites.finished_page(finished_run, token=OPERATOR, viewer_token=VIEWER) as address:
        yield address


def upgrade(address, **headers):
    """The answer to the request for the WebSocket."""
    host, port = address.removeprefix("http://").split(":")
    lines = {
        "Host": f"{host}:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Origin": address,
    }
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    text = "GET /page/socket HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(text.encode())
        return connection.recv(4096).decode("latin-1")


def status(address, **headers):
    """Of the answer to the request for the WebSocket."""
    return int(upgrade(address, **headers).split()[1])


def closed_after(address, message):
    """Whether the server closes the WebSocket after a message."""
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import BytesMessage, CloseConnection, Request, TextMessage

    host, port = address.removeprefix("http://").split(":")
    connection = WSConnection(ConnectionType.CLIENT)
    with socket.create_connection((host, int(port)), timeout=20) as wire:
        wire.sendall(connection.send(Request(host=f"{host}:{port}", target="/page/socket", extra_headers=[])))
        connection.receive_data(wire.recv(4096))
        list(connection.events())
        sent = BytesMessage(message) if isinstance(message, bytes) else TextMessage(message)
        wire.sendall(connection.send(sent))
        while data := wire.recv(65536):
            connection.receive_data(data)
            if any(isinstance(event, CloseConnection) for event in connection.events()):
                return True
    return True


def test_what_cannot_be_understood_closes_the_connection_alone(live_site, caplog):
    for message in (
        "no JSON",
        "[]",
        "[" * 100_000,
        b"\x00\xff",
        '{"drawn": Infinity}',
        '{"drawn": "x"}',
        '{"show": [["hall", NaN]]}',
        '{"show": [["hall", -Infinity]]}',
        '{"show": 7}',
        '{"show": [7]}',
        '{"show": [["hall"]]}',
        '{"show": {"hall": 640}}',
    ):
        assert closed_after(live_site.address, message), message
    assert not [record for record in caplog.records if record.name == "asyncio"]
    assert httpx.get(f"{live_site.address}/healthz", timeout=30).status_code == 200


def test_pictures_are_not_deflated_for_each_viewer_again(live_site):
    answer = upgrade(live_site.address, Sec_WebSocket_Extensions="permessage-deflate")
    assert answer.startswith("HTTP/1.1 101")
    assert "deflate" not in answer


def with_name(line):
    """A line of results with a name in it that must be shown as text."""
    return json.dumps({**json.loads(line), "name": sites.NASTY})


def signed_in(address, token):
    """A client with a session, and the cookie as it was set."""
    client = httpx.Client(base_url=address, timeout=30, verify=False)
    answer = client.post("/page/login", data={"token": token})
    assert answer.status_code == 303
    return client, answer.headers["set-cookie"]


def test_of_a_page_without_token_only_this_machine_sees_anything(finished_site, http):
    paths = ("/page/live", "/page/picture/hall", "/page/frame/hall", "/page/static/frame.js", "/identities", "/")
    for path in paths:
        for headers in (
            {"Host": "evil.example"},
            {"Host": "127.0.0.1.evil.example"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            answer = http.get(finished_site + path, headers=headers)
            assert (answer.status_code, set(answer.json())) == (403, {"error"}), (path, headers)
    assert status(finished_site) == 101
    assert status(finished_site, Host="evil.example") == 403
    assert status(finished_site, Origin="http://evil.example") == 403
    assert status(finished_site, Origin="null") == 403


def test_nothing_is_seen_without_a_token_or_with_a_wrong_one(guarded, http):
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {OPERATOR}"},
        {"Cookie": "streamreid_session=guess"},
        {"Authorization": "Bearer wrong", "Cookie": "streamreid_session=guess"},
    ):
        for path in ("/page/run", "/page/picture/hall", "/identities", "/page/nothing", "/cameras/x"):
            assert http.get(guarded + path, headers=headers).status_code == 401, (path, headers)
        assert status(guarded, **headers) == 403
    assert http.post(f"{guarded}/page/login", data={"token": "wrong"}).status_code == 401
    page = http.get(f"{guarded}/page/run", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/page/login")
    assert http.get(f"{guarded}/page/static/page.css").status_code == 200  # the login has a style


def test_a_session_is_for_one_host_and_ends(guarded, http):
    client, cookie = signed_in(guarded, VIEWER)
    assert {part.strip().lower() for part in cookie.split(";")[1:]} >= {"httponly", "samesite=strict", "path=/"}
    assert VIEWER not in cookie
    assert client.get("/page/run").status_code == 200
    assert client.get("/page/run", headers={"Host": "rebound.example"}).status_code == 401
    value = cookie.partition(";")[0]
    assert status(guarded, Cookie=value) == 101
    assert status(guarded, Cookie=value, Host="rebound.example", Origin="http://rebound.example") == 403
    assert status(guarded, Cookie=value, Origin="http://evil.example") == 403
    assert client.post("/page/logout").status_code == 303
    assert http.get(f"{guarded}/page/run", headers={"Cookie": value}).status_code == 401


def test_viewers_look_and_change_nothing(tmp_path, site_config):
    tokens = {"token": OPERATOR, "viewer_token": VIEWER, "listen": "127.0.0.1:0"}
    config = site_config.from_dict({**site_config.model_dump(), "server": tokens})
    with sites.LiveRun(config, tmp_path / "run") as site:
        viewer, _ = signed_in(site.address, VIEWER)
        operator, _ = signed_in(site.address, OPERATOR)
        assert viewer.get("/cameras").status_code == 200
        for method, path in (
            ("POST", "/cameras"),
            ("PATCH", "/cameras/hall"),
            ("DELETE", "/cameras/nothing"),
            ("POST", "/cameras/hall/pause"),
            ("DELETE", "/changes"),
        ):
            assert viewer.request(method, path, json={}).status_code == 403, (method, path)
        viewer.cookies.clear()
        bearer = {"Authorization": f"Bearer {VIEWER}"}
        assert viewer.post("/cameras/hall/pause", headers=bearer).status_code == 403
        assert operator.post("/cameras/hall/pause").json()["state"] == "paused"
        foreign = operator.post("/cameras/hall/resume", headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
        viewer.close()
        operator.close()


def test_pages_run_no_script_but_files_of_ours_and_are_not_kept(finished_site, http):
    answer = http.get(f"{finished_site}/page/live")
    policy = {part.split()[0]: part.split()[1:] for part in answer.headers["content-security-policy"].split(";")}
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert " style=" not in answer.text
    assert " on" not in {word[:3] for word in answer.text.split("<")}
    for path in ("/page/picture/hall", "/page/frame/hall"):
        picture = http.get(finished_site + path, params={"time": 1.0})
        assert picture.headers["cache-control"] == "no-store", path
        assert picture.headers["cross-origin-resource-policy"] == "same-origin", path


def test_an_inline_script_does_not_run(finished_site, visit):
    def act(page):
        page.goto(f"{finished_site}/page/run")
        page.evaluate(
            """() => {
              const script = document.createElement('script');
              script.textContent = 'window.ran = true';
              document.body.append(script);
              const div = document.createElement('div');
              div.innerHTML = '<img src=x onerror="window.ran = true">';
              document.body.append(div);
            }"""
        )
        page.wait_for_timeout(300)
        return page.evaluate("window.ran")

    assert visit(act, errors=("Content Security Policy", "Failed to load resource")) is None


def test_signing_in_by_hand(guarded, visit, axe):
    def act(page):
        page.goto(f"{guarded}/page/live")
        assert page.url.endswith("/page/login")
        findings = axe(page)
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_role("alert").wait_for()
        page.get_by_label("Token").fill(VIEWER)
        page.keyboard.press("Enter")
        page.wait_for_selector("#connection:has-text('connected')")
        assert page.url.endswith("/page/live")
        assert "You may look" in page.text_content("main")
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/page/login")
        return findings

    assert visit(act, width=390, errors=("401",)) == []


def test_a_viewers_token_alone_or_the_same_twice_is_refused(finished_run):
    for tokens, said in (
        ({"viewer_token": VIEWER}, "needs server.token"),
        ({"token": "a" * 20, "viewer_token": "a" * 20}, "same"),
    ):
        with pytest.raises(ConfigError, match=said), sites.finished_page(finished_run, **tokens):
            pass
    with pytest.raises(ConfigError, match="needs a token"), sites.finished_page(finished_run, listen="0.0.0.0:0"):
        pass


def test_names_are_text(finished_run, tmp_path, visit):
    shutil.copytree(finished_run, tmp_path / "run")
    lines = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    named = [line if '"type":"identity"' not in line else with_name(line) for line in lines]
    (tmp_path / "run" / "results.jsonl").write_text("\n".join(named) + "\n")

    def act(page):
        page.goto(f"{address}/page/live")
        page.get_by_text(sites.NASTY).first.wait_for()
        return page.locator("main img").count()

    with sites.finished_page(tmp_path / "run") as address:
        assert visit(act) == 0
