"""How the messages of an outbox go to a broker: one after the other, and again where the broker may have lost them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from streamreid.config.messages import MessagesConfig
from streamreid.messages import MessageSink
from streamreid.messages.delivery import BrokerError, More
from streamreid.messages.envelope import Message
from streamreid.sinks.base import FinalIdentities
from tests.messages.conftest import link
from tests.support.brokers import wait_until


class Forgetful:
    """A broker that confirms at once, and loses the newest messages when it dies."""

    name = "forgetful"
    batch = 4
    unacknowledged = None

    def __init__(self, recall: float) -> None:
        self.recall = recall
        self.kept: list[int] = []
        self.sent: list[int] = []
        self.dead = False

    def open(self) -> None:
        self.dead = False

    def check(self) -> None: ...

    def send(self, messages: Sequence[Message], more: More | None = None) -> None:
        while messages:
            if self.dead:
                raise BrokerError("it is gone")
            self.sent += [m.sequence for m in messages]
            self.kept += [m.sequence for m in messages]
            messages = () if more is None else more(len(messages))

    def idle(self) -> None:
        if self.dead:
            raise BrokerError("it is gone")

    def close(self, *, goodbye: bool = False) -> None: ...

    def die(self, lost: int) -> None:
        self.dead = True
        del self.kept[-lost:]


@pytest.fixture
def make(tmp_path: Path):  # type: ignore[no-untyped-def]
    def sink(broker: Forgetful) -> MessageSink:
        config = MessagesConfig.model_validate({"site": "shop", "webhook": {"address": "http://h"}})
        return MessageSink(config, tmp_path / "run", brokers=[broker])

    return sink


def test_what_was_confirmed_shortly_before_a_broker_died_is_sent_again_once(make) -> None:  # type: ignore[no-untyped-def]
    broker = Forgetful(recall=60.0)
    sink = make(broker)
    (state,) = sink.states
    sink.tell([link(n) for n in range(1, 10)])
    wait_until(lambda: state.delivered == 10)
    broker.die(lost=3)
    wait_until(lambda: broker.kept[-3:] == [8, 9, 10])
    assert broker.sent == [*range(1, 11), *range(1, 11)]
    broker.dead = True  # nothing is lost this time, and nothing comes a third time
    sink.tell([link(10)])
    sink.close(FinalIdentities())
    assert broker.sent == [*range(1, 11), *range(1, 11), 11, 12]
    assert (state.delivered, state.waiting, state.lost) == (12, 0, 0)
    assert not (sink._outbox.path).exists()


def test_what_was_confirmed_long_before_is_not_sent_again(make) -> None:  # type: ignore[no-untyped-def]
    broker = Forgetful(recall=0.0)
    sink = make(broker)
    sink.tell([link(n) for n in range(1, 10)])
    wait_until(lambda: sink.states[0].delivered == 10)
    broker.dead = True
    sink.close(FinalIdentities())
    assert broker.sent == list(range(1, 12))


def test_a_broker_that_asks_for_more_gets_messages_in_order_and_never_more_than_fit(make) -> None:  # type: ignore[no-untyped-def]
    batches: list[int] = []

    class Late(Forgetful):
        def send(self, messages: Sequence[Message], more: More | None = None) -> None:
            assert more is not None
            on_way = list(messages)
            while on_way:
                batches.append(len(on_way))
                confirmed = on_way[: (len(on_way) + 1) // 2]
                self.kept += [m.sequence for m in confirmed]
                on_way = [*on_way[len(confirmed) :], *more(len(confirmed))]

    broker = Late(recall=0.0)
    sink = make(broker)
    sink.tell([link(n) for n in range(1, 101)])
    sink.close(FinalIdentities())
    assert broker.kept == list(range(1, 103))
    assert max(batches) == broker.batch
    assert sink.states[0].delivered == 102
