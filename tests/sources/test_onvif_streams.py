"""A device is asked for its streams: with its account, which goes nowhere else."""

import socket

import pytest

from streamreid.errors import ConfigError, SourceError
from streamreid.sources.onvif_streams import DeviceStream, device_streams
from tests.support.onvif_device import OnvifDevice

pytest.importorskip("onveef")

PASSWORD = "p@ss/wörd"


@pytest.fixture(scope="module")
def device():
    streams = {
        "main": "rtsp://192.168.1.64:8554/Streaming/Channels/101?a=1&amp;b=2",
        "small": "rtsp://admin:old@0.0.0.0/sub",
        "odd": "file:///etc/passwd",
        "none": "",
    }
    with OnvifDevice("viewer", PASSWORD, streams) as device:
        yield device


def test_streams_are_listed_with_the_host_that_was_asked_and_without_an_account(device):
    here = f"127.0.0.1:{device.port}"
    found = device_streams(here, "viewer", PASSWORD)
    assert found == [
        DeviceStream("main", "rtsp://127.0.0.1:8554/Streaming/Channels/101?a=1&b=2", (640, 360), "H264", 25),
        DeviceStream("small", "rtsp://127.0.0.1/sub", (1280, 720), "H264", 25),
    ]
    assert device_streams(f"http://{here}/onvif/device_service", "viewer", PASSWORD) == found
    assert all(PASSWORD not in said and "p%40ss" not in said for said in device.said)


def test_who_is_not_let_in_is_told_so_without_the_password(device):
    for account, said in ((("viewer", "secret-word"), "refuses this user"), (("", ""), "wants a user and a password")):
        with pytest.raises(SourceError, match=said) as caught:
            device_streams(f"127.0.0.1:{device.port}", *account)
        assert "secret-word" not in str(caught.value)


def test_what_is_no_device_is_said(device):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    with pytest.raises(SourceError, match="gave no answer that ONVIF knows"):
        device_streams(f"127.0.0.1:{port}")
    for address in ("", "rtsp://h/", "file:///etc/passwd", "http://user:pw@h/", "h:99999", "a b", "http://"):
        with pytest.raises(ConfigError, match="the address of an ONVIF device"):
            device_streams(address)
