"""Passwords never appear, in part or whole, raw or encoded: not in messages, tables, summaries, and not in what is
handed to other software."""

from __future__ import annotations

import json
import socket

import pytest

from streamreid.addresses import check_address, quoted, split_address
from streamreid.config import CameraConfig, Config, GalleryConfig, load_config
from streamreid.errors import ConfigError
from streamreid.pipeline.pipeline import camera_name
from streamreid.secrets import redact, redact_data, remember_address
from streamreid.sources import open_source

PASSWORDS = [
    "zq7/zq8",
    "zq7 zq8",
    "zq7#zq8",
    "zq7?zq8",
    "zq7@zq8",
    "zq7:zq8",
    "zq7%zq8",
    "zq7&zq8",
    "zq7'zq8",
    'zq7"zq8',
    "zq7\\zq8",
    "zq7+zq8",
    "zq7üzq8",
]


def hidden(text: str) -> bool:
    return "zq7" not in text and "zq8" not in text


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_literal_password_is_hidden_whatever_it_holds(password, tmp_path):
    uri = f"rtsp://admin:{password}@10.0.0.3/live"
    assert hidden(redact(uri))
    assert "10.0.0.3/live" in redact(uri)
    assert hidden(json.dumps(redact_data({"cameras": [{"uri": uri}]})))
    (tmp_path / "cams.yaml").write_text(f"cameras:\n  - name: a\n    uri: {json.dumps(uri)}\n", encoding="utf-8")
    if any(c in password for c in "/#?"):
        with pytest.raises(ConfigError, match=r"cams.yaml:3.*%2F") as error:
            load_config(tmp_path / "cams.yaml")
        assert hidden(str(error.value))
    else:
        config = load_config(tmp_path / "cams.yaml")
        assert hidden(repr(config))
        address = split_address(config.cameras[0].uri)
        assert address is not None
        assert address.host == "10.0.0.3"
    assert camera_name(uri, []) == "10.0.0.3"


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://10.0.0.1:554/user=admin_password=zq7zq8_channel=1_stream=0.sdp?real_stream",
        "rtsp://10.0.0.1:554/user=admin&password=zq7_zq8&channel=1&stream=0.sdp",
        "http://10.0.0.2/videostream.cgi?loginuse=admin&loginpas=zq7zq8",
        "http://10.0.0.2/videostream.cgi?user=admin&pwd=zq7zq8&rate=0",
        "http://10.0.0.2/cgi?usr=admin&PWD=zq7zq8",
        "http://10.0.0.2/live?access_token=zq7zq8",
        "http://10.0.0.2/live?api_key=zq7zq8#x",
        "rtsp://admin:123/zq7@10.0.0.3/live",
        "rtsp://:zq7@10.0.0.3/live",
        "postgresql://admin:zq7/zq8@db/people?sslmode=require",
        "postgresql://admin@db/people?password=zq7zq8",
    ],
)
def test_passwords_of_cameras_that_write_them_elsewhere(uri):
    assert hidden(redact(uri))
    assert hidden(redact(f"camera 'x': {uri}: cannot be opened"))
    assert hidden(json.dumps(redact_data([uri])))


@pytest.mark.parametrize(
    "text",
    [
        "host=db user=admin password='zq7 zq8' dbname=people",
        "Authorization: Basic zq7zq8",
        "authorization: Bearer zq7zq8",
        "sent Bearer zq7zq8zq7zq8",
        '{"password": "zq7 zq8", "x": 1}',
        "camera 'x': rtsp://admin:zq7 zq8@10.0.0.4/live: cannot be opened",
        "rtsp://admin:123 zq7@10.0.0.4/live",
        "rtsp://admin:zq7://zq8@10.0.0.4/live",
    ],
)
def test_passwords_in_messages(text):
    assert "zq7" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://10.0.0.1:554/live@2x",
        "http://[::1]:8080/a@2x.jpg",
        "see http://127.0.0.1:8080 and write to me@example.org",
        "rtsp://viewer@10.0.0.1/live",
        "http://127.0.0.1:PORT/cameras",
        "monkey=1 keyframe=2 author=somebody",
        "Check user name and password: the camera said 401",
        "https://example.org/a?page=2&sort=up",
    ],
)
def test_what_is_no_password_stays(text):
    assert redact(text) == text


def test_a_password_is_known_wherever_it_stands_later():
    remember_address("rtsp://admin:zq7%2Fzq8@10.0.0.9/live")
    for text in ("Port could not be cast to integer value as 'zq7/zq8'", "GET zq7%2fzq8", "no host zq7%2Fzq8"):
        assert hidden(redact(text))


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_from_the_environment_arrives_and_never_appears(password, monkeypatch, tmp_path):
    monkeypatch.setenv("ZQ_PASSWORD", password)
    (tmp_path / "cams.yaml").write_text(
        "cameras:\n"
        "  - {name: a, uri: 'rtsp://admin:${ZQ_PASSWORD}@10.0.0.3/live'}\n"
        "  - {name: b, uri: 'http://10.0.0.3/video?user=admin&pwd=${ZQ_PASSWORD}&x=1'}\n"
        "gallery: {store: 'postgresql://me:${ZQ_PASSWORD}@db.example/people'}\n",
        encoding="utf-8",
    )
    config = load_config(tmp_path / "cams.yaml")
    from urllib.parse import parse_qs, unquote, urlsplit

    for uri in (config.cameras[0].uri, str(config.gallery.store)):
        assert unquote(urlsplit(uri).password or "") == password
        assert hidden(redact(uri))
    assert parse_qs(urlsplit(config.cameras[1].uri).query)["pwd"] == [password]
    public = json.dumps(redact_data(json.loads(config.model_dump_json())))
    assert hidden(public)
    for text in (
        f"refused {password}",
        f"no {config.cameras[0].uri}",
        repr(config),
        json.dumps({"x": password}),
        repr([password]),
    ):
        assert hidden(redact(text))


def test_a_value_that_is_already_written_for_an_address_stays(monkeypatch, tmp_path):
    assert quoted("p%40ss", "rtsp://admin:", "@h/live") == "p%40ss"
    assert quoted("p%40s/s", "rtsp://admin:", "@h/live") == "p%2540s%2Fs"
    assert quoted("me:a/b", "rtsp://", "@h/live") == "me:a%2Fb"
    assert quoted("10.0.0.1:554", "rtsp://a:b@", "/live") == "10.0.0.1:554"
    assert quoted("live/1", "rtsp://a:b@h/", "") == "live/1"


def test_a_name_is_looked_up_only_when_it_is_a_host(monkeypatch):
    asked = []

    def lookup(host, *args, **kwargs):
        asked.append(str(host))
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    for password in PASSWORDS:
        uri = f"rtsp://admin:{password}@camera.invalid/live"
        camera = CameraConfig.model_construct(
            **{**CameraConfig(name="a", uri="x.mp4", reconnect=0).model_dump(), "uri": uri}
        )
        with pytest.raises(Exception, match="camera") as error:
            next(iter(open_source(camera)))
        assert hidden(str(error.value))
    assert asked
    assert set(asked) == {"camera.invalid"}


def test_pydantic_shows_no_password():
    for build in (
        lambda: CameraConfig(name="a", uri="rtsp://u:zq7/zq8@h/1"),
        lambda: GalleryConfig(store="postgresql://u:zq7/zq8@h/1"),
    ):
        with pytest.raises(ValueError, match="%2F") as error:
            build()
        assert hidden(str(error.value))
    with pytest.raises(ConfigError) as wrong:
        Config.from_dict({"cameras": [{"name": "a", "uri": "x"}], "server": {"token": 77123}})
    assert "77123" not in str(wrong.value)


def test_addresses_that_are_clear_stay_as_they_are():
    for uri in (
        "rtsp://u:p@camera/live?mail=a@b.org",
        "rtsp://u:p@10.0.0.1/live@2x",
        "http://cam:8080/a@2x.jpg",
        "a:b/c@d.mp4",
        "rtsp://u:p@ss@h/1",
    ):
        assert check_address(uri) == uri
    assert check_address("RTSP://u:P@H/Live") == "rtsp://u:P@H/Live"
    address = split_address("rtsp://u:p@camera/live?mail=a@b.org")
    assert address is not None
    assert (address.host, address.password) == ("camera", "p")


def test_data_with_a_secret_that_looks_like_a_number(monkeypatch, tmp_path):
    monkeypatch.setenv("ZQ_PIN", "000")
    (tmp_path / "cams.yaml").write_text("cameras:\n  - {name: a, uri: 'rtsp://u:${ZQ_PIN}@h/1'}\n")
    config = load_config(tmp_path / "cams.yaml")
    assert redact_data(json.loads(config.model_dump_json()))["gallery"]["max_identities"] == 20_000
