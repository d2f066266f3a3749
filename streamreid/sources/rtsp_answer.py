"""What an RTSP camera itself says, asked once more where FFmpeg's error does not tell: which login it wants, and what
it offers.

No user name or password is sent. Only for messages: a camera that plays is never asked.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from time import monotonic

from streamreid.addresses import split_address

__all__ = ["RtspAnswer", "ask", "parse_answer"]

_MOST = 64 * 1024
"""Bytes of an answer that are read; an SDP has a few thousand."""

_PORT = 554
"""Of RTSP where an address names none (RFC 7826, 4.2)."""

_ALGORITHM = re.compile(r'algorithm="?([A-Za-z0-9-]{1,32})', re.IGNORECASE)
_MEDIA = re.compile(r"^m=(\w{1,32}) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RtspAnswer:
    """The answer to DESCRIBE without a login.

    Args:
        status: 200, 401, 461 ...
        challenges: Values of WWW-Authenticate.
        media: Kinds of streams on offer ("video", "audio", "application"), if it told.
    """

    status: int
    challenges: tuple[str, ...] = ()
    media: tuple[str, ...] = ()

    @property
    def unknown_login(self) -> str:
        """The digest algorithm, where the camera accepts no login that FFmpeg knows (Basic, Digest with MD5); else
        ""."""
        names = []
        for challenge in self.challenges:
            if not challenge.lower().startswith("digest"):
                return ""
            match = _ALGORITHM.search(challenge)
            name = match[1].upper() if match else "MD5"
            if name.startswith("MD5"):
                return ""
            names.append(name)
        return names[0] if names else ""


def ask(uri: str, *, timeout: float = 3.0) -> RtspAnswer | None:
    """Ask an ``rtsp://`` camera for its description; None where it does not answer in time, or not in RTSP.

    Args:
        uri: The address; user and password are left out.
        timeout: Seconds for everything.
    """
    address = split_address(uri)
    if address is None or address.scheme != "rtsp" or not address.host:
        return None
    host = f"[{address.host}]" if ":" in address.host else address.host
    plain = f"rtsp://{host}:{address.port or _PORT}{address.rest}"
    if any(c <= " " for c in plain):
        return None
    request = f"DESCRIBE {plain} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\nUser-Agent: streamreid\r\n\r\n"
    deadline = monotonic() + timeout
    data = b""
    try:
        with socket.create_connection((address.host, address.port or _PORT), timeout=timeout) as connection:
            connection.sendall(request.encode("utf-8", "replace"))
            while len(data) < _MOST and not _complete(data):
                connection.settimeout(max(0.01, deadline - monotonic()))
                block = connection.recv(8192)
                if not block or monotonic() >= deadline:
                    break
                data += block
    except OSError:
        pass
    return parse_answer(data)


def _split(data: bytes) -> tuple[str, bytes] | None:
    """Head and body, once the head has ended."""
    for end in (b"\r\n\r\n", b"\n\n"):
        head, found, body = data.partition(end)
        if found:
            return head.decode("latin-1"), body
    return None


def _headers(head: str) -> list[tuple[str, str]]:
    lines = head.replace("\r\n", "\n").split("\n")[1:]
    return [
        (name.strip().lower(), value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon
    ]


def _complete(data: bytes) -> bool:
    parts = _split(data)
    if parts is None:
        return False
    length = next((v for n, v in _headers(parts[0]) if n == "content-length"), "0")
    return not length.isdecimal() or len(length) > 9 or len(parts[1]) >= int(length)


def parse_answer(data: bytes) -> RtspAnswer | None:
    """Read an answer; None if it is none."""
    data = data[:_MOST]
    parts = _split(data) or (data.decode("latin-1"), b"")
    words = parts[0].split("\n", 1)[0].split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith("RTSP/") or not re.fullmatch(r"[0-9]{3}", words[1]):
        return None
    challenges = tuple(v for n, v in _headers(parts[0]) if n == "www-authenticate")
    media = tuple(dict.fromkeys(_MEDIA.findall(parts[1].decode("utf-8", "replace").replace("\r\n", "\n"))))
    return RtspAnswer(int(words[1]), challenges, media)
