"""Real message brokers that a test starts on free ports, kills and starts again: Debian's mosquitto, nats-server and
redis-server, librdkafka's mock cluster in a process of its own, and a small HTTP receiver.

Each has `start`, `kill` (SIGKILL), `stop` (SIGTERM), `section` (of the YAML) and `received` (bodies in order of
arrival).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float = 30.0, what: str = "") -> None:
    """Wait for something that is sure to come, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}")
        time.sleep(0.02)


def program(name: str) -> str:
    """Path of a broker's program, or a skip with the reason."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (apt-get install {name})")
    return found


class Server:
    """A broker's process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start, with what was stored before, and wait until it listens."""
        command = self.command()
        with open(self.folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        wait_until(self._listens, 20.0, f"{command[0]} listens: {self.folder / 'log.txt'}")

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((LOOPBACK, self.port), 0.2):
            return True
        return False

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Hang: connections stay open, nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()


class Mosquitto(Server):
    """mosquitto, which stores every change, and a subscriber with a session that outlives both."""

    def __init__(self, folder: Path, extra: str = "", *, anonymous: bool = True, durable: bool = True) -> None:
        self._program = program("mosquitto")
        super().__init__(folder)
        self.extra = extra
        self.anonymous = anonymous
        self.durable = durable
        self._subscriber: Any = None
        self._bodies: list[bytes] = []
        self.retained: dict[str, bytes] = {}

    def command(self) -> list[str]:
        config = self.folder / "mosquitto.conf"
        save = "autosave_interval 1\nautosave_on_changes true\n" if self.durable else ""
        config.write_text(
            f"listener {self.port} {LOOPBACK}\nallow_anonymous {str(self.anonymous).lower()}\npersistence true\n"
            f"persistence_location {self.folder}/\n{save}"
            f"max_queued_messages 0\nuser root\n{self.extra}\n"
        )
        return [self._program, "-c", str(config)]

    def section(self) -> dict[str, Any]:
        return {"mqtt": {"address": f"mqtt://{LOOPBACK}:{self.port}"}}

    def subscribe(self, **login: str) -> None:
        """Take everything from now on, over restarts of the broker."""
        import paho.mqtt.client as paho
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="reader", protocol=paho.MQTTv5, manual_ack=False
        )
        client.reconnect_delay_set(1, 1)
        if login:
            client.username_pw_set(login["user"], login["password"])
        ready = threading.Event()
        client.on_connect = lambda *_: client.subscribe("#", qos=1)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = lambda _, __, m: self._take(m)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        client.connect(LOOPBACK, self.port, clean_start=False, properties=properties)
        client.loop_start()
        assert ready.wait(10)
        self._subscriber = client

    def _take(self, message: Any) -> None:
        if "/event/" in message.topic:
            self._bodies.append(message.payload)
        else:
            self.retained[message.topic] = message.payload

    def received(self) -> list[bytes]:
        return list(self._bodies)

    def close(self) -> None:
        if self._subscriber is not None:
            self._subscriber.disconnect()
            self._subscriber.loop_stop()
        super().close()


class Nats(Server):
    """nats-server with JetStream on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._program = program("nats-server")
        super().__init__(folder)
        self.options = options
        self.login: dict[str, Any] = {}
        self.subjects: list[str] = []
        """Subjects of what was received last."""

    def command(self) -> list[str]:
        store = str(self.folder / "store")
        return [self._program, "-a", LOOPBACK, "-p", str(self.port), "-js", "-sd", store, *self.options]

    def section(self) -> dict[str, Any]:
        return {"nats": {"address": f"nats://{LOOPBACK}:{self.port}"}}

    def received(self) -> list[bytes]:
        import asyncio

        import nats

        async def read() -> list[bytes]:
            connection = await nats.connect(f"nats://{LOOPBACK}:{self.port}", **self.login)
            stream = connection.jetstream()
            try:
                name = await stream.find_stream_name_by_subject("streamreid.>")
                count = (await stream.stream_info(name)).state.messages
                reader = await stream.pull_subscribe("streamreid.>")
                found: list[bytes] = []
                self.subjects = []
                while len(found) < count:
                    for message in await reader.fetch(min(500, count - len(found)), timeout=10):
                        found.append(message.data)
                        self.subjects.append(message.subject)
                        await message.ack()
                return found
            except nats.js.errors.NotFoundError:
                return []
            finally:
                await connection.close()

        # In a thread of its own: a browser of another test may leave an event loop in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, read()).result()


class Redis(Server):
    """redis-server with an append-only file."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._program = program("redis-server")
        super().__init__(folder)
        self.options = options
        self.login: dict[str, Any] = {}

    def command(self) -> list[str]:
        base = [self._program, "--port", str(self.port), "--bind", LOOPBACK, "--appendonly", "yes", "--save", ""]
        return [*base, "--dir", str(self.folder), *self.options]

    def start(self) -> None:
        super().start()
        import redis

        def loaded() -> bool:
            try:
                return bool(self._client().ping())
            except redis.AuthenticationError:  # a test logs in later
                return True
            except (redis.BusyLoadingError, redis.ConnectionError):
                return False

        wait_until(loaded, 20.0, "redis has loaded its file")

    def _client(self) -> Any:
        import redis

        return redis.Redis(LOOPBACK, self.port, **self.login)

    def section(self) -> dict[str, Any]:
        return {"redis": {"address": f"redis://{LOOPBACK}:{self.port}"}}

    def received(self) -> list[bytes]:
        return [entry[b"event"] for _, entry in self._client().xrange("streamreid:events")]


_CLUSTER = """
import sys, time
from confluent_kafka import Producer
producer = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "unused"})
brokers = producer.list_topics(timeout=10).brokers.values()
print(",".join(f"{b.host}:{b.port}" for b in brokers), flush=True)
while sys.stdin.readline():
    pass
"""


class Kafka:
    """librdkafka's mock cluster of three brokers in a process of its own. It keeps nothing on disk: it can hang, and be
    away, but not come back with what it had."""

    def __init__(self, folder: Path) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.servers = ""

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.servers = self.process.stdout.readline().strip()
        assert self.servers, "no mock cluster"

    def pause(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def section(self) -> dict[str, Any]:
        return {"kafka": {"servers": self.servers}}

    def records(self, seconds: float = 20.0) -> list[tuple[str, int, bytes]]:
        """Key, partition and body of every record."""
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        topic = "streamreid.events"
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "reader", "auto.offset.reset": "earliest"})
        found: list[tuple[str, int, bytes]] = []
        try:
            partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            parts = [TopicPartition(topic, number, 0) for number in partitions]
            wanted = sum(consumer.get_watermark_offsets(part, timeout=10)[1] for part in parts)
            consumer.assign(parts)
            end = time.monotonic() + seconds
            while len(found) < wanted and time.monotonic() < end:
                for message in consumer.consume(500, 0.2):
                    if message.error() is None:
                        found.append((message.key().decode(), message.partition(), message.value()))
        except KafkaException:
            return found
        finally:
            consumer.close()
        return found

    def received(self) -> list[bytes]:
        return [body for _, _, body in self.records()]

    def close(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.resume()
            self.process.kill()
            self.process.communicate()
            self.process = None


class Receiver:
    """An HTTP server that takes webhooks.

    Attributes:
        requests: Headers (names in lower case) and body of every request, also of those that were refused.
        answer: Status for a request by its number, from 0; 204 takes it.
        delay: Seconds before each answer.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.port = free_port()
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.taken: list[bytes] = []
        self.answer: Callable[[int, dict[str, str], bytes], int] = lambda _, __, ___: 204
        self.delay = 0.0
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                time.sleep(outer.delay)
                with outer._lock:
                    status = outer.answer(len(outer.requests), headers, body)
                    outer.requests.append((headers, body))
                    if status < 300:
                        found = json.loads(body)
                        parts = found if isinstance(found, list) else [found]
                        outer.taken += [json.dumps(part).encode() for part in parts]
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def do_OPTIONS(self) -> None:
                self.send_response(204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Listening(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Listening((LOOPBACK, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def section(self) -> dict[str, Any]:
        return {"webhook": {"address": f"http://{LOOPBACK}:{self.port}/hook"}}

    def received(self) -> list[bytes]:
        return list(self.taken)

    def close(self) -> None:
        self.kill()
