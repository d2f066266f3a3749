"""Which streams an ONVIF device offers, and at which addresses (ONVIF Media Service Specification, "GetProfiles" and
"GetStreamUri").

User and password go to the device alone, as a digest (WS-Security UsernameToken, or HTTP digest where the device asks
for that); they are in no address that is given back, and in no message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from streamreid.errors import ConfigError, MissingExtraError, SourceError

__all__ = ["DeviceStream", "device_streams"]

ANSWER_SECONDS = 5.0
"""For which each answer of a device is waited; it gives four or more."""

MOST_STREAMS = 16
"""Of a device; a recorder of more cameras has an address for each."""

MOST_BYTES = 1 << 20
"""Of an answer: lists of profiles have some kilobytes."""

_SCHEMES = ("rtsp", "rtsps", "http", "https")
"""That a device may name: nothing that it says leads to a file of this machine."""

_TEXT = 100
"""Characters of a name."""


@dataclass(frozen=True, slots=True)
class DeviceStream:
    """A stream of a device.

    Args:
        name: Of its profile.
        uri: Its address, without user and password.
        size: Width and height, where the device says so.
        encoding: Such as ``H264``.
        rate: Most frames per second, where the device says so.
    """

    name: str
    uri: str
    size: tuple[int, int] | None = None
    encoding: str = ""
    rate: int | None = None


def device_streams(service: str, user: str = "", password: str = "") -> list[DeviceStream]:
    """Ask a device for its streams.

    Args:
        service: Address of its ONVIF service as `find_cameras` gives it, or its name or address with or without a port.
        user: Of an account on the device; empty for none.
        password: Of that account.

    Returns:
        Its streams in its own order, with the host by which it was reached: devices often name an address of their own
        that others cannot reach.

    Raises:
        MissingExtraError: onveef is not installed.
        ConfigError: ``service`` is no address.
        SourceError: The device does not answer, refuses the account, or offers no stream.
    """
    where = _service_address(service)
    try:
        from onveef import OnvifClient
    except ImportError as error:
        raise MissingExtraError("onveef", "onvif", "Asking cameras for their streams") from error
    host = urlsplit(where).hostname or ""
    # Cameras sign their certificates themselves. Only digests are sent, which do not hold the password.
    client = OnvifClient(
        where,
        username=user,
        password=password,
        timeout_s=ANSWER_SECONDS,
        verify_tls=False,
        http_auth="digest",
        retries=0,
        max_response_bytes=MOST_BYTES,
    )
    with client, _reasons(host, account=bool(user)):
        services = client.discover_services()
        client.set_endpoint(type(client.endpoint)(client.endpoint.device_xaddr, services=services))
        profiles = client.get_profiles()[:MOST_STREAMS]
        found = [_stream(profile, client.get_stream_uri(profile_token=profile["token"])) for profile in profiles]
    streams = [stream for stream in found if stream is not None]
    if not streams:
        raise SourceError(f"the device at {host} offers no stream that can be read")
    return streams


def _service_address(service: str) -> str:
    """The address of a device's ONVIF service.

    Raises:
        ConfigError: It is none.
    """
    text = service.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        port = parts.port
    except ValueError:
        good, port = False, None
    if not good or any(ord(c) <= 32 for c in text) or port == 0:
        raise ConfigError(
            "the address of an ONVIF device is its name or address, such as 10.0.3.17 or 10.0.3.17:8000, or "
            "http://10.0.3.17/onvif/device_service; user and password are given apart"
        )
    path = parts.path if parts.path not in ("", "/") else "/onvif/device_service"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@contextmanager
def _reasons(host: str, *, account: bool) -> Iterator[None]:
    """Say what went wrong in words of ours: those of a stranger's device may hold anything."""
    import httpx
    from onveef.exceptions import (
        OnvifAuthError,
        OnvifCapabilityMissingError,
        OnvifError,
        OnvifFaultError,
        OnvifTimeoutError,
    )

    refusal = "refuses this user and password" if account else "wants a user and a password"
    try:
        yield
    except OnvifAuthError:
        raise SourceError(f"the device at {host} {refusal}") from None
    except OnvifCapabilityMissingError:
        raise SourceError(f"the device at {host} answers, but offers no video") from None
    except OnvifTimeoutError:
        raise SourceError(f"the device at {host} did not answer within {ANSWER_SECONDS:g} s") from None
    except (OnvifError, httpx.HTTPError, KeyError, ValueError, OverflowError) as error:
        if isinstance(error, OnvifFaultError):  # onveef knows a refusal by one spelling of the fault's text
            refused = "not author" in str(error).lower()
            why = refusal if refused else "refuses to tell: is the account right, and is it one that may see media?"
            raise SourceError(f"the device at {host} {why}") from None
        raise SourceError(
            f"the device at {host} gave no answer that ONVIF knows ({type(error).__name__}); is it the port of its "
            "ONVIF service?"
        ) from None


def _stream(profile: dict[str, Any], uri: str) -> DeviceStream | None:
    """What a profile says; None where its address leads to no stream."""
    try:
        parts = urlsplit(uri.strip())
        if parts.scheme.lower() not in _SCHEMES or not parts.hostname or any(ord(c) <= 32 for c in uri):
            return None
    except ValueError:
        return None
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    video = profile.get("video_encoder") or {}
    width, height = _number(video.get("width")), _number(video.get("height"))
    return DeviceStream(
        name=_plain(profile.get("name") or profile.get("token")),
        uri=address,
        size=(width, height) if width and height else None,
        encoding=_plain(video.get("encoding")),
        rate=_number(video.get("fps_limit")),
    )


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _plain(value: Any) -> str:
    return "".join(c for c in str(value or "")[:_TEXT] if c.isprintable())
