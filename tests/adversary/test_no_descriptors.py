"""A process that has no descriptor left: it answers probes, fills no log, and ends when asked to."""

from __future__ import annotations

import os
import resource
import signal
import time

import pytest

pytest.importorskip("httpx")


@pytest.mark.wall_time
@pytest.mark.alone
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit (Linux)")
def test_connections_without_requests_make_room_and_the_log_stays_short(start):
    service = start()
    before = service.frames()
    pid = service.process.pid
    idle = [service.connect(b"GET / HTTP/1.1\r\n") for _ in range(20)]
    time.sleep(0.5)
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(number) for number in os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 1, hard))
    try:
        idle += [service.connect(b"GET / HTTP/1.1\r\n") for _ in range(100)]
        status, seconds = service.probe()
        assert status == 200
        assert seconds < 2
        time.sleep(1.5)
        assert service.frames() > before
        code, answered = service.stop(signal.SIGTERM)
        assert code in (0, 130)
        assert answered < 2
    finally:
        for connection in idle:
            connection.close()
    assert service.output.count("no descriptor is left") == 1
    assert "Traceback" not in service.output
    assert len(service.output) < 20_000
