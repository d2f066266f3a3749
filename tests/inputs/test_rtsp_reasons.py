"""An RTSP camera that cannot be played: the true reason, in the message."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import open_source
from streamreid.sources.rtsp_answer import ask, parse_answer

VIDEO = "m=video 0 RTP/AVP 26\r\na=control:track1\r\n"
AUDIO = "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:track2\r\n"
META = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:track3\r\n"
SESSION = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=cam\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"


class Camera:
    """Answers RTSP requests; a SETUP of what has video is refused with 461."""

    def __init__(self, media: str, challenges: tuple[str, ...] = ()) -> None:
        self.media, self.challenges = media, challenges
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.uri = f"rtsp://admin:hush@127.0.0.1:{self._socket.getsockname()[1]}/live"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            while request := lines.readline().decode("latin-1").strip():
                self.asked.append(request)
                headers = {}
                while line := lines.readline().decode("latin-1").strip():
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                    self.asked.append(line)
                connection.sendall(self._answer(request.split()[0], headers).encode())

    def _answer(self, method: str, headers: dict[str, str]) -> str:
        head = f"CSeq: {headers.get('cseq', '1')}\r\n"
        if method == "OPTIONS":
            return f"RTSP/1.0 200 OK\r\n{head}Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n"
        if self.challenges:
            return (
                f"RTSP/1.0 401 Unauthorized\r\n{head}"
                + "".join(f"WWW-Authenticate: {c}\r\n" for c in self.challenges)
                + "\r\n"
            )
        if method == "DESCRIBE":
            body = SESSION + self.media
            return (
                f"RTSP/1.0 200 OK\r\n{head}Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            )
        if VIDEO in self.media:
            return f"RTSP/1.0 461 Unsupported Transport\r\n{head}\r\n"
        return (
            f"RTSP/1.0 200 OK\r\n{head}Session: 1\r\nTransport: "
            f"{headers.get('transport', 'RTP/AVP/TCP;interleaved=0-1')}\r\n\r\n"
        )

    def close(self) -> None:
        self._socket.close()


def why(camera: Camera, **settings) -> str:
    try:
        with pytest.raises(SourceError) as error:
            open_source(CameraConfig(name="gate", uri=camera.uri, reconnect=0, connect_timeout=5, **settings))
    finally:
        camera.close()
    assert "hush" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("transport", "other"), [("tcp", "udp"), ("udp", "tcp")])
def test_461_names_the_other_transport(transport, other):
    assert f"does not send by {transport.upper()} (461 Unsupported Transport). Write transport: {other}" in why(
        Camera(VIDEO), transport=transport
    )


@pytest.mark.parametrize(
    ("media", "said"),
    [(AUDIO, "offers no video here, only audio."), (AUDIO + META, "offers no video here, only audio and metadata.")],
)
def test_a_camera_without_video(media, said):
    assert said in why(Camera(media))


@pytest.mark.parametrize(
    ("challenges", "said"),
    [
        (('Digest realm="c", nonce="1", algorithm=SHA-256, qop="auth"',), "asks for Digest login with SHA-256"),
        (('Digest realm="c", nonce="1", algorithm="SHA-512-256"',), "asks for Digest login with SHA-512-256"),
        (
            ('Digest realm="c", nonce="1", algorithm=SHA-256', 'Digest realm="c", nonce="1", algorithm=MD5'),
            "Check user name and password",
        ),
        (('Digest realm="c", nonce="1"',), "Check user name and password"),
        (('Basic realm="c"',), "Check user name and password"),
    ],
)
def test_a_login_that_nobody_can_give(challenges, said):
    camera = Camera(VIDEO, challenges)
    text = why(camera)
    assert said in text
    assert "access denied" in text


def test_the_scheme_in_capitals():
    camera = Camera(AUDIO)
    camera.uri = camera.uri.replace("rtsp", "RTSP")
    assert "offers no video here" in why(camera)


def test_no_login_is_sent_when_asking():
    camera = Camera(VIDEO + AUDIO)
    answer = ask(camera.uri)
    camera.close()
    assert answer is not None
    assert (answer.status, answer.media) == (200, ("video", "audio"))
    assert not any(
        "hush" in line or "admin" in line or line.lower().startswith("authorization") for line in camera.asked
    )


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"RTSP/1.0\r\n\r\n", b"RTSP/1.0 2000 x\r\n\r\n", b"\xff\xfe" * 100]
)
def test_answers_that_are_none(data):
    assert parse_answer(data) is None


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert ask(f"rtsp://127.0.0.1:{port}/") is None
    assert ask("http://127.0.0.1/") is None
    assert ask("rtsp:///x") is None
