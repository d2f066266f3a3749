"""Networks and cameras that misbehave on purpose: a proxy that damages, holds back or cuts, and a camera that says
nothing."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
from typing import Literal

__all__ = ["FaultyProxy", "MuteCamera"]

Mode = Literal["pass", "garbage", "stall", "slow", "cut", "refuse"]


class FaultyProxy:
    """Passes one TCP port on to another. ``mode`` may be set at any time and from any thread.

    ``pass``: undamaged. ``garbage``: some bytes of what the server sends are replaced. ``stall``: nothing goes through,
    connections stay. ``slow``: what the server sends goes through at ``slow_rate`` bytes per second. ``cut``:
    connections are closed at once, new ones too. ``refuse``: those that are there stay, new ones are closed.
    ``connections`` and ``damaged`` count connections and damaged chunks.

    Args:
        port: Where the server listens on this machine.
        damage: Share of the server's chunks (about 1,500 bytes) that are damaged in the mode ``garbage``.
        seed: Of the damage.
    """

    def __init__(self, port: int, *, damage: float = 0.3, seed: int = 0) -> None:
        self.mode: Mode = "pass"
        self.connections = 0
        self.damaged = 0
        self.slow_rate = 20_000
        self._target = port
        self._damage = damage
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Close all connections."""
        self._stopped.set()
        for thread in list(self._threads):
            thread.join(2)
        self._listener.close()

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self.mode in ("cut", "refuse"):
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=2)
            except OSError:
                client.close()
                continue
            self.connections += 1
            self._threads = [t for t in self._threads if t.is_alive()]
            self._threads.append(threading.Thread(target=self._pass, args=(client, server), daemon=True))
            self._threads[-1].start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while not self._stopped.is_set() and self.mode != "cut":
                if self.mode == "stall":
                    self._stopped.wait(0.02)
                    continue
                for key, _ in selector.select(0.1):
                    source: socket.socket = key.fileobj  # type: ignore[assignment]
                    data = source.recv(1500)
                    if not data:
                        return
                    if source is server and self.mode == "garbage" and self._random.random() < self._damage:
                        data = self._damaged(data)
                    if source is server and self.mode == "slow":
                        self._stopped.wait(len(data) / self.slow_rate)
                    key.data.sendall(data)

    def _damaged(self, data: bytes) -> bytes:
        self.damaged += 1
        damaged = bytearray(data)
        for _ in range(1 + len(data) // 100):
            damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
        return bytes(damaged)


class MuteCamera:
    """Accepts connections and never says a word."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self._listener.settimeout(0.1)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up."""
        self._stopped.set()
        self._thread.join(2)
        self._listener.close()

    def __enter__(self) -> MuteCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        held: list[socket.socket] = []
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                held.append(self._listener.accept()[0])
                self.connections += 1
        for connection in held:
            connection.close()
