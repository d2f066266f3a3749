"""A PostgreSQL server of our own, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

__all__ = ["PostgresServer"]


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    onpath = shutil.which("initdb")
    return Path(onpath).parent if onpath else None


class PostgresServer:
    """A PostgreSQL server of our own, as an ordinary user, that can be stopped and started. It listens on this machine
    only, on a port that stays the same.

    Args:
        folder: Data is put here; the server's user must be able to enter it.
        options: Settings of the server, as in ``max_wal_size=64MB``.

    Raises:
        RuntimeError: The programs are missing, or no cluster can be made here.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        programs = _programs()
        if programs is None:
            raise RuntimeError("needs the PostgreSQL server (Debian: apt-get install postgresql)")
        self.programs, self.data, self.options = programs, folder / "data", options
        self.user = "nobody" if os.getuid() == 0 else None
        self.process: subprocess.Popen[bytes] | None = None
        self.data.mkdir()
        if self.user:
            shutil.chown(self.data, self.user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.address = f"postgresql://test@127.0.0.1:{self.port}"
        made = subprocess.run(
            [programs / "initdb", "-D", self.data, "-U", "test", "--auth=trust", "-N", "-E", "UTF8"],
            user=self.user,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise RuntimeError(f"a PostgreSQL cluster cannot be made here: {made.stderr[-300:]}")

    def start(self) -> None:
        """Start, and wait until it answers.

        Raises:
            RuntimeError: It ends, or does not answer within 20 s.
        """
        settings = [part for option in self.options for part in ("-c", option)]
        command = [
            self.programs / "postgres",
            "-D",
            self.data,
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            "",
            *settings,
        ]
        self.process = subprocess.Popen(
            command,
            user=self.user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(200):
            ready = subprocess.run(
                [self.programs / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True
            )
            if ready.returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError("the PostgreSQL server does not start here")

    def stop(self) -> None:
        """Stop at once and in order: all connections are closed, what was committed stays."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None
