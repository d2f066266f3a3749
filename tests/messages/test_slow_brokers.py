"""Brokers that take connections and answer late: the run does not wait for them, and they get everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamreid import Pipeline
from streamreid.config.messages import MessagesConfig
from streamreid.errors import MissingExtraError
from streamreid.messages.factory import make_brokers
from streamreid.runs import run
from streamreid.sinks.base import FinalIdentities
from tests.messages.conftest import MakeSink, events_of, link, tracks_of
from tests.support.brokers import Receiver, wait_until

Start = Callable[..., Any]


@pytest.mark.parametrize("name", ["mqtt", "kafka", "nats", "redis"])
def test_events_are_told_while_a_broker_does_not_answer(name: str, start_broker: Start, make_sink: MakeSink) -> None:
    broker = start_broker(name)
    sink = make_sink(broker.section())
    (state,) = sink.states
    sink.event(link(1))
    wait_until(lambda: state.delivered == 2, what="the first messages")
    broker.pause()
    for number in range(2, 502):
        sink.event(link(number))
    assert state.delivered < 100  # all are told, and none confirmed but what was on its way
    assert state.failures == 0
    broker.resume()
    sink.close(FinalIdentities())
    assert (state.delivered, state.waiting, state.lost, state.failures) == (503, 0, 0, 0)
    wait_until(lambda: tracks_of(broker.received()) == {"identity/1": list(range(1, 502))})


def test_a_run_ends_before_a_late_receiver_answers_for_the_first_time(
    scene: Any, colours: Any, start_broker: Start, tmp_path: Path
) -> None:
    results = tmp_path / "run" / "results.jsonl"

    def after_the_run(_: int, __: dict[str, str], ___: bytes) -> int:
        wait_until(lambda: results.is_file() and '"type":"end"' in results.read_text(), 100.0, "the run has ended")
        return 204

    receiver: Receiver = start_broker("webhook")
    receiver.answer = after_the_run
    section = {"webhook": {**receiver.section()["webhook"], "timeout": 120}}
    messages = MessagesConfig.model_validate({"site": "shop", **section, "outbox": {"close_seconds": 120}})
    config = scene.config(scene.camera("left", [0, 1]), scene.camera("right", [1, 2]))
    with Pipeline(config.model_copy(update={"messages": messages}), embedder=colours) as pipeline:
        summary = run(pipeline, tmp_path / "run")
    (state,) = summary.messages
    assert (state.waiting, state.lost, state.failures) == (0, 0, 0)
    taken = events_of(receiver.received())
    assert len(taken) == state.delivered > 10
    assert (taken[0]["type"], taken[-1]["type"]) == ("streamreid.run.started", "streamreid.run.ended")


_STARTED = """
import sys
from pathlib import Path
from streamreid.config.messages import MessagesConfig
from streamreid.messages.factory import make_brokers
sections = {
    "mqtt": {"address": "mqtt://h"}, "kafka": {"servers": "h:1"}, "nats": {"address": "nats://h"},
    "redis": {"address": "redis://h"}, "webhook": {"address": "http://h"},
}
make_brokers(MessagesConfig.model_validate(sections), "shop")
print([name for name in ("awscrt", "paho", "confluent_kafka", "nats", "redis", "httpx") if name in sys.modules])
"""


def test_a_run_does_not_wait_for_client_libraries_to_be_imported() -> None:
    done = subprocess.run([sys.executable, "-c", _STARTED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_client_library_that_is_missing_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)
    with pytest.raises(MissingExtraError, match=r"streamreid\[messages\]"):
        make_brokers(MessagesConfig.model_validate({"nats": {"address": "nats://h"}}), "shop")
