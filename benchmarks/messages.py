"""How fast events get to real brokers: from the run's call until the broker has confirmed the last one, through the
outbox on disk, beside the bare client library, which is given the same messages, made of the same events, from memory
(of MQTT paho-mqtt and awscrt; the share is of the faster one).

    python benchmarks/messages.py [--events 20000] [--rounds 3] [--only redis] [--json]
    python benchmarks/messages.py --run VIDEO [--only mqtt] [--frames 400] [--rounds 3]
        [--detector MODEL] [--engine MODEL] [--json]

The brokers are Debian's mosquitto, nats-server and redis-server and librdkafka's mock cluster, on free ports of this
machine. Rounds of streamreid and of the bare client alternate, and the best of each counts: both share the processors
with the broker and with whatever else runs. ``per cpu second`` divides by the processor time of this process and so
does not depend on that.

``--run VIDEO`` follows people in a recording with detector, engine and all brokers (or those of ``--only``). In one and
the same run, messages are told in every other block of 10 frames: processor time (threads that deliver, and the sink
inside the run's thread) and clock of both kinds of blocks are compared. Then come whole runs without messages and with
them, in turns: ``rate_with_over_without`` is the median over the rounds of the ratio of their frames/s.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import _root  # noqa: F401
from _messages_run import frame_rates, measure_run
from _results import add_json, save_asked

from streamreid.config.messages import MessagesConfig
from streamreid.messages import MessageSink
from streamreid.messages.drafts import identity_drafts
from streamreid.messages.envelope import Envelope, Message
from streamreid.sinks.base import FinalIdentities
from streamreid.types import IdentityEvent, IdentitySummary
from tests.support.brokers import Kafka, Mosquitto, Nats, Redis

AT_ONCE = 20
"""Events that a run hands over together: what a busy frame brings."""

PEOPLE = 200
"""Identities that the events are about."""


def make_events(count: int) -> list[IdentityEvent]:
    """Links of tracks, as a run emits most."""
    reasons = {"appearance": 2.1, "time": 0.4, "topology": 0.2, "head": 0.71, "torso": 0.83, "legs": 0.77}
    summary = IdentitySummary(1.7e9, 1.7e9 + 60, frozenset({"entrance", "hall"}), confirmed=True)
    return [
        IdentityEvent("link", 1.7e9 + i, i % PEOPLE + 1, "hall", i + 1, 0.93, reasons=reasons, summary=summary)
        for i in range(count)
    ]


def make_messages(events: Sequence[IdentityEvent]) -> list[Message]:
    """The same messages, for the bare client."""
    envelope = Envelope("bench", "0" * 16)
    return [envelope.seal(identity_drafts(e)[0], id=f"bare-{i}", sequence=i) for i, e in enumerate(events, 1)]


def through_outbox(section: dict[str, Any], events: Sequence[IdentityEvent], folder: Path) -> None:
    """What a run does; returns when the broker has confirmed everything."""
    config = MessagesConfig.model_validate({**section, "site": "bench", "outbox": {"close_seconds": 300}})
    sink = MessageSink(config, folder, cameras=["hall"])
    for start in range(0, len(events), AT_ONCE):
        sink.tell(events[start : start + AT_ONCE])
    sink.close(FinalIdentities())
    (state,) = sink.states
    assert state.delivered == len(events) + 2, state


def bare_awscrt(broker: Mosquitto, messages: Sequence[Message]) -> None:
    from awscrt import mqtt5

    ready = threading.Event()
    options = mqtt5.ClientOptions(
        host_name="127.0.0.1", port=broker.port, on_lifecycle_event_connection_success_fn=lambda _: ready.set()
    )
    client = mqtt5.Client(options)
    client.start()
    assert ready.wait(10)
    waiting = [
        client.publish(mqtt5.PublishPacket(m.body, mqtt5.QoS.AT_LEAST_ONCE, topic=f"bare/{m.subject}"))
        for m in messages
    ]
    for future in waiting:
        future.result(600)
    client.stop()


def bare_paho(broker: Mosquitto, messages: Sequence[Message]) -> None:
    import paho.mqtt.client as paho

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    done = threading.Event()
    left = len(messages)

    def confirmed(*_: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    client.on_publish = confirmed
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for message in messages:
        client.publish(f"bare/{message.subject}", message.body, qos=1)
    assert done.wait(600)
    client.disconnect()
    client.loop_stop()


def bare_kafka(broker: Kafka, messages: Sequence[Message]) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker.servers, "enable.idempotence": True})
    confirmed = 0

    def report(error: Any, _: Any) -> None:
        nonlocal confirmed
        assert error is None
        confirmed += 1

    for message in messages:
        producer.produce("streamreid.bare", message.body, key=message.subject, on_delivery=report)
        producer.poll(0)
    producer.flush(600)
    assert confirmed == len(messages)


def bare_nats(broker: Nats, messages: Sequence[Message]) -> None:
    import nats

    async def send() -> None:
        connection = await nats.connect(f"nats://127.0.0.1:{broker.port}")
        stream = connection.jetstream()
        await stream.add_stream(name="BARE", subjects=["bare.>"])
        waiting = [
            await stream.publish_async(f"bare.{m.subject.replace('/', '.')}", m.body, headers={"Nats-Msg-Id": m.id})
            for m in messages
        ]
        await asyncio.gather(*waiting)
        await stream.delete_stream("BARE")
        await connection.close()

    asyncio.run(send())


def bare_redis(broker: Redis, messages: Sequence[Message]) -> None:
    import redis

    client = redis.Redis("127.0.0.1", broker.port)
    for start in range(0, len(messages), 1000):
        pipeline = client.pipeline(transaction=False)
        for m in messages[start : start + 1000]:
            pipeline.xadd("bare", {"id": m.id, "type": m.type, "subject": m.subject, "event": m.body})
        pipeline.execute()
    client.delete("bare")


Bare = Callable[[Any, Sequence[Message]], None]

BROKERS: dict[str, tuple[type[Any], dict[str, Bare]]] = {
    "mqtt": (Mosquitto, {"paho": bare_paho, "awscrt": bare_awscrt}),
    "nats": (Nats, {"nats-py": bare_nats}),
    "redis": (Redis, {"redis-py": bare_redis}),
    "kafka": (Kafka, {"confluent-kafka": bare_kafka}),
}
"""Brokers with their bare clients; of several the fastest is the one that is compared with."""


class Best:
    """The best of several rounds: events per second, and per second of this process's processor time."""

    def __init__(self) -> None:
        self.rate = self.cpu_rate = 0.0

    def time(self, count: int, action: Callable[[], None]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        self.rate = max(self.rate, count / (time.perf_counter() - wall))
        self.cpu_rate = max(self.cpu_rate, count / (time.process_time() - cpu))


def measure(name: str, count: int, rounds: int, folder: Path) -> dict[str, float]:
    """One broker."""
    kind, clients = BROKERS[name]
    broker = kind(folder / name, durable=False) if kind is Mosquitto else kind(folder / name)
    broker.start()
    events = make_events(count)
    ours, bare = Best(), {client: Best() for client in clients}
    try:
        for number in range(rounds):
            for client, publish in clients.items():
                bare[client].time(count, lambda publish=publish: publish(broker, make_messages(events)))  # type: ignore[misc]
            run = folder / f"{name}-run{number}"
            ours.time(count, lambda run=run: through_outbox(broker.section(), events, run))  # type: ignore[misc]
    finally:
        broker.close()
    fastest = max(bare.values(), key=lambda best: best.rate)
    several = bare if len(bare) > 1 else {}
    return {
        "events_per_s": ours.rate,
        "bare_per_s": fastest.rate,
        "share_of_bare": ours.rate / fastest.rate,
        "events_per_cpu_s": ours.cpu_rate,
        "bare_per_cpu_s": fastest.cpu_rate,
        **{f"bare_{client}_per_s": best.rate for client, best in several.items()},
    }


def cost_of_messages(options: argparse.Namespace) -> dict[str, Any]:
    """What messages to every broker cost a run."""
    models = {"detector.model": options.detector, "engine.model": options.engine}
    given = {key: value for key, value in models.items() if value is not None}
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        sections: dict[str, Any] = {}
        for name in options.only or BROKERS:
            broker = BROKERS[name][0](folder / name)
            stack.callback(broker.close)
            broker.start()
            sections |= broker.section()
        figures = measure_run(options.run, given, sections, options.frames, folder)
        return figures | frame_rates(options.run, given, sections, options.frames, options.rounds, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(BROKERS), action="append")
    parser.add_argument("--run", metavar="VIDEO")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--detector")
    parser.add_argument("--engine")
    add_json(parser, "messages")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if options.run is not None:
        figures = cost_of_messages(options)
        for name, value in figures.items():
            print(f"{name:36}{value:10.4f}")
        save_asked(
            options, figures, name="messages.run" if options.only is None else f"messages.run.{'.'.join(options.only)}"
        )
        return
    figures = {"events": options.events}
    print(f"{'':8}{'events/s':>12}{'bare':>12}{'share':>8}{'per cpu s':>12}{'bare':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or BROKERS:
            found = figures[name] = measure(name, options.events, options.rounds, Path(folder))
            print(
                f"{name:8}{found['events_per_s']:12,.0f}{found['bare_per_s']:12,.0f}{found['share_of_bare']:8.2f}"
                f"{found['events_per_cpu_s']:12,.0f}{found['bare_per_cpu_s']:12,.0f}"
            )
    save_asked(options, figures)


if __name__ == "__main__":
    main()
