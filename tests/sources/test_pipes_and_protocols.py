"""Addresses that this machine cannot play, and pipes into which nobody writes: said at once, or in the time allowed."""

import os
import threading
import time
from contextlib import suppress

import av
import pytest
from av.error import ProtocolNotFoundError

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import open_source
from streamreid.sources.protocols import missing_protocol

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")


def lacks(scheme: str) -> bool:
    try:
        av.open(f"{scheme}://127.0.0.1:1", timeout=0.2)
    except ProtocolNotFoundError:
        return True
    except Exception:
        return False
    return False


@pytest.mark.parametrize("scheme", ["srt", "rist"])
def test_a_protocol_that_the_build_lacks_is_named_with_the_remedy(scheme, call, tmp_path):
    camera = CameraConfig(name="gate", uri=f"{scheme}://u:hidden@127.0.0.1:9000", connect_timeout=0.5, reconnect=0)
    if not lacks(scheme):
        assert missing_protocol(camera.uri) == ""
        return
    with pytest.raises(
        SourceError, match=rf"camera 'gate'.*built without lib{scheme} and cannot play.*rtsp://"
    ) as error:
        open_source(camera)
    assert "hidden" not in str(error.value)
    path = tmp_path / "cams.yaml"
    path.write_text(f"cameras:\n  - {{name: gate, uri: '{scheme}://127.0.0.1:9000'}}\n")
    code, out, _ = call("config", "check", path)
    assert code == 0
    assert f"gate: this PyAV ({av.__version__}" in " ".join(out.split())


def test_protocols_that_every_build_has_are_not_asked_for(monkeypatch):
    monkeypatch.setattr(av, "open", None)
    for uri in ("rtsp://127.0.0.1/1", "udp://127.0.0.1:1", "http://127.0.0.1/", "videos/srt.mp4", "0"):
        assert missing_protocol(uri) == ""


@needs_pipes
def test_a_pipe_without_a_writer_is_given_up_in_time(tmp_path):
    path = tmp_path / "gate.ts"
    os.mkfifo(path)
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"camera 'gate'.*nothing was written into it for 0\.3 s \(connect_timeout\)"):
        open_source(CameraConfig(name="gate", uri=str(path), connect_timeout=0.3))
    assert time.monotonic() - began < 10


@needs_pipes
def test_a_pipe_whose_writer_stops_at_once_is_given_up_in_time(tmp_path):
    path, over = tmp_path / "gate.ts", threading.Event()
    os.mkfifo(path)

    def write():
        with suppress(BrokenPipeError), open(path, "wb", buffering=0) as file:
            file.write(b"\x47" + bytes(600))
            over.wait(30)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        with pytest.raises(SourceError, match="cannot be opened"):
            open_source(CameraConfig(name="gate", uri=str(path), connect_timeout=1.0))
        assert not over.is_set()
    finally:
        over.set()
        writer.join(10)


@needs_pipes
def test_a_pipe_is_read_to_its_end(make_video, tmp_path):
    video = make_video("once.ts", frames=30)
    path = tmp_path / "gate.ts"
    os.mkfifo(path)

    def write():
        with suppress(BrokenPipeError), open(path, "wb", buffering=0) as file:
            data = video.read_bytes()
            for start in range(0, len(data), 4096):
                file.write(data[start : start + 4096])
                time.sleep(0.01)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with open_source(CameraConfig(name="gate", uri=str(path), connect_timeout=10)) as source:
        assert sum(1 for _ in source) == 30
    writer.join(10)
