"""Tokens: none that is empty, none that nobody could send, and the lines of the documentation as they are written."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from streamreid._token import checked_token
from streamreid.config import load_config
from streamreid.errors import ConfigError

CAMERA = "cameras: [{name: a, uri: a.mp4}]\n"
LINE = "server: {listen: 0.0.0.0:8080, token: ${STREAMREID_TOKEN}}\n"


def read(tmp_path, text):
    path = tmp_path / "cams.yaml"
    path.write_text(CAMERA + text)
    return load_config(path)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "empty"),
        (" \t ", "empty"),
        ("two words", "blank or a line break inside"),
        ("line\nbreak", "blank or a line break inside"),
        ("gültig", "outside printable ASCII"),
        ("zero\0byte", "outside printable ASCII"),
        ('"in-quotes"', "quotation marks around it"),
        ("'in-quotes'", "quotation marks around it"),
        ("x" * 5000, "5000 characters"),
    ],
)
def test_tokens_that_could_never_match_are_refused_without_being_shown(tmp_path, monkeypatch, token, why):
    messages = []
    with pytest.raises(ValueError, match=why) as caught:
        checked_token(token)
    messages.append(str(caught.value))
    if "\0" not in token:
        monkeypatch.setenv("STREAMREID_TOKEN", token)
        with pytest.raises(ConfigError, match=r"cams\.yaml:2: server\.token: .*" + why) as refused:
            read(tmp_path, LINE)
        messages.append(str(refused.value))
    if token.strip() == token and token.isprintable():
        with pytest.raises(ConfigError, match=r"cams\.yaml:2: server\.token: .*" + why) as refused:
            read(tmp_path, f"server: {{token: {json.dumps(token)}}}\n")
        messages.append(str(refused.value))
    if len(token.strip()) > 3:
        assert not any(token.strip() in message for message in messages)


@pytest.mark.parametrize(
    "value",
    [
        "a: {b, c}",
        "[x]",
        "&anchor",
        "*alias",
        "# no comment",
        "- item",
        "null",
        "12345678",
        "1e3",
        "yes",
        "%",
        "a'b\"c",
    ],
)
def test_the_documented_line_works_whatever_the_variable_holds(tmp_path, monkeypatch, value):
    token = value.replace(" ", "-")
    monkeypatch.setenv("STREAMREID_TOKEN", f"  {token}\n")
    server = read(tmp_path, LINE).server
    assert server.token.get_secret_value() == token
    assert server.listen == "0.0.0.0:8080"
    assert token not in repr(server)


def test_a_port_alone_may_be_a_number(tmp_path):
    assert read(tmp_path, "server: {listen: 8080}\n").server.listen == "8080"
    assert read(tmp_path, "server:\n  listen: 127.0.0.1:8080\n").server.listen == "127.0.0.1:8080"


def test_a_variable_that_is_set_and_empty_lets_nobody_in(start):
    service = start(environment={"STREAMREID_TOKEN": ""}, wait=False)
    assert service.process.wait(60) == 2
    assert "STREAMREID_TOKEN" in service.output
    assert "empty" in service.output


def test_only_the_token_opens(start):
    token = "sesame-street"
    service = start(options=("--listen", "0.0.0.0:0"), environment={"STREAMREID_TOKEN": f" {token} "})
    wrong = (
        "",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        f"Basic {token}",
        token,
        f"Bearer {token}x",
        f"Bearer {token[:-1]}",
        f"Bearer {token.upper()}",
        "Bearer \xff",
    )
    for given in (None, *wrong):
        headers = [] if given is None else [(b"Authorization", given.encode("latin-1"))]
        sent = b"GET /cameras HTTP/1.1\r\nHost: cams.example\r\nConnection: close\r\n" + b"".join(
            n + b": " + v + b"\r\n" for n, v in headers
        )
        assert service.answer(service.connect(sent + b"\r\n"))[9:12] == b"401", given
    good = {"Authorization": f"bearer {token}", "Host": "cams.example"}
    assert service.get("/cameras", headers=good).status_code == 200
    # A page of another origin that knows the token still may not ask; one behind a proxy that changes 'Host' may.
    assert service.get("/cameras", headers={**good, "Origin": "http://evil.example"}).status_code == 403
    assert service.get("/cameras", headers={**good, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert (
        service.get(
            "/cameras", headers={**good, "Origin": "https://outside.example", "Sec-Fetch-Site": "same-origin"}
        ).status_code
        == 200
    )
    assert service.get("/healthz").status_code == 200
    assert token not in service.output
    assert "13 characters and can be guessed" in service.output


def test_the_soft_limit_is_never_lowered_and_never_raised_beyond_the_hard_one():
    code = (
        "import resource\nfrom streamreid._limits import raise_open_files\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (128, 512))\nprint(raise_open_files(8192), raise_open_files(64), "
        "raise_open_files(256))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["512", "512", "512"]
