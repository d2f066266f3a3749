"""Sends what a worker has to say to the site about ten times a second, and again where no answer comes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from streamreid._threads import Thread
from streamreid.cluster.outbox import Outbox
from streamreid.cluster.update_batch import Ack, CameraUpdates, UpdateBatch
from streamreid.secrets import redact

__all__ = ["BatchSender", "Send"]

log = logging.getLogger(__name__)

Send = Callable[[bytes], bytes]
"""``UpdateBatch.to_bytes()`` to the site service, ``Ack.to_bytes()`` back. Whatever it raises means that the site is
away: the same is sent again later."""

_BATCH_SECONDS = 0.1
"""Seconds between batches: what is lost by waiting is little against the age of a frame, and a message that costs a
millisecond to pass on stays cheap."""

_BATCH_BYTES = 4 << 20
"""Updates in one batch, at most."""

_LONGEST_PAUSE = 1.0
"""Seconds between attempts while the site is away."""

_FIGURES_SECONDS = 1.0
"""Seconds between figures of the cameras."""


class BatchSender:
    """The worker's side of the exchange with the site, in a thread of its own.

    Args:
        worker: Name of the worker.
        outbox: What is to be sent.
        send: To the site service.
        models: What makes the features, see `model_stamp`.
        figures: Of all cameras, by name.
        begin: Called with a camera that the site has heard of, its first track id and its first frame number.
        refuse: Called with camera, fence, new state and reason where the site takes nothing.
    """

    def __init__(
        self,
        worker: str,
        outbox: Outbox,
        send: Send,
        models: Mapping[str, str],
        *,
        figures: Callable[[], dict[str, Any]],
        begin: Callable[[str, int, int], None],
        refuse: Callable[[str, int, str, str], None],
    ) -> None:
        self._worker, self._outbox, self._send, self._models = worker, outbox, send, models
        self._figures, self._begin, self._refuse = figures, begin, refuse
        self._stop = threading.Event()
        self._answered = time.monotonic()
        self._figures_sent = 0.0
        self._best_trip = float("inf")
        self.away = False
        """Whether the site does not answer."""
        self.offset = 0.0
        """Seconds by which this machine's clock is ahead of the site's."""
        self._thread = Thread(target=self._run, name="send", daemon=True)

    def __repr__(self) -> str:
        return f"BatchSender({self._worker}, away={self.away})"

    @property
    def away_seconds(self) -> float:
        """Seconds since the site last answered; 0 where it does."""
        return time.monotonic() - self._answered if self.away else 0.0

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait for the batch in work."""
        self._stop.set()
        self._outbox.wake.set()
        self._thread.join()

    def figures_due(self) -> None:
        """Send the figures with the next batch, at once."""
        self._figures_sent = 0.0
        self._outbox.wake.set()

    def _run(self) -> None:
        pause = _BATCH_SECONDS
        wake = self._outbox.wake
        while not self._stop.is_set():
            wake.wait(pause)
            wake.clear()
            sent = self._outbox.collect(_BATCH_BYTES)
            counts = self._due_figures()
            if not sent and not counts:
                pause = _BATCH_SECONDS
                continue
            try:
                self._exchange(sent, counts)
                pause = _BATCH_SECONDS
            except Exception as error:  # whatever it is, the cameras go on
                self._outbox.send_again()
                self._figures_sent = 0.0
                if not self.away:
                    log.warning("the site does not answer (%s); the cameras go on", redact(error))
                self.away = True
                pause = min(2 * pause, _LONGEST_PAUSE)
                self._stop.wait(pause)

    def _exchange(self, sent: tuple[CameraUpdates, ...], counts: Mapping[str, Any]) -> None:
        wall, began = time.time(), time.monotonic()
        answer = Ack.from_bytes(self._send(UpdateBatch(self._worker, sent, self._models, counts).to_bytes()))
        self._answered = time.monotonic()
        self._compare_clocks(wall, self._answered - began, answer.time)
        if self.away:
            log.warning("the site answers again")
            self.away = False
        self._outbox.acknowledge(sent, dict(answer.next))
        for name, (track, frame) in answer.begin.items():
            self._begin(name, track, frame)
        fences = {item.camera: item.fence for item in sent}
        for name, reason in answer.refused.items():
            self._refuse(name, fences.get(name, 0), "refused", reason)
        for name in answer.again:
            self._refuse(name, fences.get(name, 0), "waiting for lease", "the site began anew")

    def _compare_clocks(self, wall: float, trip: float, site: float) -> None:
        """Of many answers, the one that came back fastest tells best what the site's clock shows."""
        self._best_trip *= 1.01  # so that a clock that is set, or drifts, is followed within minutes
        if trip <= self._best_trip:
            self._best_trip, self.offset = trip, wall + trip / 2 - site

    def _due_figures(self) -> dict[str, Any]:
        now = time.monotonic()
        if now - self._figures_sent < _FIGURES_SECONDS:
            return {}
        self._figures_sent = now
        return self._figures()
