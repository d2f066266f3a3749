"""Calls that may hang (a camera that is opened, a store that is asked, a disk that is written to), each with a time
limit, a few at a time.

Threads are daemons: one that hangs in a library holds up neither the other requests nor the end of the process. An
executor of the standard library would be waited for when the interpreter ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from streamreid._threads import Thread
from streamreid.errors import StreamReIDError

__all__ = ["BusyError", "Claim", "TooLongError", "WorkerPool"]

Value = TypeVar("Value")


class BusyError(StreamReIDError):
    """So much of a kind is being done already that no more is begun."""

    http_status = 503


class TooLongError(StreamReIDError):
    """Something has not been done in time."""

    http_status = 504


class Claim:
    """Whether the result of a long call is still wanted. Exactly one side wins: `take` (it is used) or `abandon`
    (nobody waits for it)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = ""

    def _become(self, state: str) -> bool:
        with self._lock:
            self._state = self._state or state
            return self._state == state

    def take(self) -> bool:
        """Use the result; False if nobody wants it any more."""
        return self._become("taken")

    def abandon(self) -> bool:
        """Want the result no more; False if it is being used already."""
        return self._become("abandoned")


class WorkerPool:
    """Threads for one kind of call. To be used from one event loop only.

    Args:
        doing: The kind, for messages: "opening cameras".
        threads: Calls at the same time.
        waiting: Further calls that may wait for a thread; more are refused at once.
        seconds: Time limit of each, waiting included.
    """

    def __init__(self, doing: str, *, threads: int, waiting: int, seconds: float) -> None:
        self._doing = doing
        self._threads = threads
        self._waiting = waiting
        self._seconds = seconds
        self._free = asyncio.Semaphore(threads)
        self._asked = 0

    async def run(self, call: Callable[[], Value], *, claim: Claim | None = None, late: str = "it goes on") -> Value:
        """Do ``call`` in a thread and wait for it.

        Args:
            call: What to do.
            claim: Abandoned when the time is over, so that ``call`` can give up what it made. If ``call`` has taken it
                by then, it is waited for.
            late: What becomes of a call that is not waited for, for the message.

        Raises:
            BusyError: Too many calls are in work or wait, or the process has no thread left.
            TooLongError: It takes longer than the time limit.
        """
        if self._asked >= self._threads + self._waiting:
            raise BusyError(f"{self._doing}: {self._asked} requests are in work already; try again")
        self._asked += 1
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        try:
            await asyncio.wait_for(self._free.acquire(), self._seconds)
        except BaseException as error:
            self._asked -= 1
            if isinstance(error, asyncio.TimeoutError):
                raise BusyError(f"{self._doing}: earlier requests hang; try again") from None
            raise
        done: asyncio.Future[Value] = loop.create_future()
        thread = Thread(target=_work, args=(call, loop, done, self._finished), name=f"http: {self._doing}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._finished()
            raise BusyError(f"{self._doing}: no thread is left for it; try again") from error
        finished, _ = await asyncio.wait({done}, timeout=max(0.0, end - loop.time()))
        if not finished and (claim is None or claim.abandon()):
            raise TooLongError(f"{self._doing}: not done within {self._seconds:g} s; {late}")
        return await done

    def _finished(self) -> None:
        self._asked -= 1
        self._free.release()


def _work(
    call: Callable[[], Value],
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[Value],
    finished: Callable[[], None],
) -> None:
    value: Value | None = None
    error: BaseException | None = None
    try:
        value = call()
    except BaseException as raised:
        error = raised

    def tell() -> None:
        finished()
        if done.cancelled():
            return
        if error is None:
            done.set_result(value)  # type: ignore[arg-type]
        else:
            done.set_exception(error)
            done.exception()  # one that nobody waits for any more is not reported by asyncio

    with suppress(RuntimeError):  # the server has ended meanwhile
        loop.call_soon_threadsafe(tell)
