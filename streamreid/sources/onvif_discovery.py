"""Cameras in the local network that answer ONVIF's WS-Discovery probe (ONVIF Core Specification, "Device discovery").

A probe is sent to the multicast group 239.255.255.250, and whoever answers within some seconds is listed. Nothing is
sent to a camera beyond that, and no password is needed; its address for streams is in its manual, or its own page says
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from streamreid.errors import ConfigError, MissingExtraError

__all__ = ["FoundCamera", "find_cameras"]

MOST_FOUND = 256
"""Cameras in an answer; a network of more answers to several probes."""

MOST_SECONDS = 30.0
"""For which answers are waited at most."""

_TEXT = 200
"""Characters of a name: answers come from strangers."""

_MOST_INTERFACES = 8


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """What a device says of itself.

    Args:
        host: Name or address.
        name: As its maker or owner calls it.
        hardware: Its model.
        location: Where it says that it is.
        service: Address of its ONVIF service.
    """

    host: str
    name: str = ""
    hardware: str = ""
    location: str = ""
    service: str = ""

    @property
    def uri(self) -> str:
        """A beginning of the stream's address, to be completed."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{host}:554/"


def find_cameras(seconds: float = 3.0, *, hosts: Sequence[tuple[str, int]] = ()) -> list[FoundCamera]:
    """Ask the local network which ONVIF devices there are.

    Args:
        seconds: For which answers are waited.
        hosts: Ask these alone, host and UDP port (3702 by the standard), where no multicast gets through.

    Returns:
        By host, each once.

    Raises:
        MissingExtraError: onveef is not installed.
        ConfigError: ``seconds`` is none that can be waited.
    """
    if not 0 < seconds <= MOST_SECONDS:
        raise ConfigError(f"seconds: {seconds:g}; answers are waited for for up to {MOST_SECONDS:g} s")
    try:
        from onveef import wsdiscovery
    except ImportError as error:
        raise MissingExtraError("onveef", "onvif", "Finding cameras in the network") from error
    places = wsdiscovery.local_ipv4_addresses()[:_MOST_INTERFACES] or ["0.0.0.0"]  # noqa: S104 - all interfaces

    def ask(place: str | tuple[str, int]) -> list[object]:
        if isinstance(place, tuple):
            return list(wsdiscovery.probe_device(place[0], port=place[1], timeout_s=seconds))
        return list(wsdiscovery.discover(timeout_s=seconds, interface_ip=place))

    asked: list[str | tuple[str, int]] = list(hosts) or list(places)
    with ThreadPoolExecutor(len(asked)) as pool:
        found = [device for devices in pool.map(ask, asked[:MOST_FOUND]) for device in devices]
    cameras = {camera.service or camera.host: camera for camera in map(_camera, found) if camera is not None}
    return sorted(cameras.values(), key=lambda camera: camera.host)[:MOST_FOUND]


def _camera(device: object) -> FoundCamera | None:
    service = str(getattr(device, "address", ""))[:_TEXT]
    try:
        host = urlsplit(service).hostname if "://" in service else service
    except ValueError:
        return None
    if not host or any(ord(c) <= 32 for c in host):
        return None
    name, hardware, place = (_plain(str(getattr(device, key, ""))[:_TEXT]) for key in ("name", "hardware", "location"))
    return FoundCamera(host, name, hardware, place, service)


def _plain(text: str) -> str:
    return "".join(c for c in unquote(text) if c.isprintable())
