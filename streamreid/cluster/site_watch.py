"""Asks the site of a run how it is doing, in a thread of its own: where the head of the cluster is away, a call of Ray
may wait for ever, and the command must still see signals, say what it waits for, and end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from streamreid._threads import Thread
from streamreid.cluster.site_log import show
from streamreid.cluster.site_task import SiteProgress
from streamreid.cluster.worker_slots import WorkerAway

__all__ = ["SiteCalls", "SiteWatch"]

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""How long the site may take to say how it is doing."""

_LOOK_SECONDS = 0.2
_SAY_SECONDS = 30.0
"""Between two words that the site still does not answer."""


class SiteCalls(Protocol):
    """Calls the methods of `SiteProcess`, in whichever process it is."""

    def call(self, method: str, *arguments: Any, seconds: float) -> Any:
        """The result of a call.

        Raises:
            WorkerAway: None came in time.
        """


class SiteWatch:
    """How the processes of a site are doing. Nothing here waits, but for ``stop``.

    Args:
        sites: The process that runs the site, and those that stand by.
        wanted: Called with labels of workers that the site asks for.

    Attributes:
        site: The process that runs the site, as far as is known.
        said: What it said last; None before.
    """

    def __init__(self, sites: Sequence[SiteCalls], wanted: Callable[[Mapping[str, str]], None]) -> None:
        self._sites, self._wanted = list(sites), wanted
        self.site = self._sites[0]
        self.said: SiteProgress | None = None
        self._heard = time.monotonic()
        self._problem = ""
        self._told = 0.0
        self._stopped = threading.Event()
        self._thread = Thread(target=self._ask_on, name="watch site", daemon=True)
        self._thread.start()

    def silent(self) -> float:
        """Seconds since the last answer, or since the start."""
        return time.monotonic() - self._heard

    def tell(self) -> None:
        """Say that the site does not answer, at first and then every half minute."""
        silent = self.silent()
        if not self._problem or self.said is None:
            return
        if not self._told:
            log.warning("the site does not answer (%s): another process of it takes over, or is started", self._problem)
            self._told = silent or 1e-3
        elif silent - self._told >= _SAY_SECONDS:
            log.warning("the site does not answer for %.0f s", silent)
            self._told = silent

    def stop(self) -> None:
        """Ask no more; waits for a call in work for a moment."""
        self._stopped.set()
        self._thread.join(1.0)

    def _ask_on(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS if self.said is not None else _LOOK_SECONDS / 4):
            try:
                said = self._ask()
            except WorkerAway as error:
                self._problem = str(error) or "no answer"
                continue
            self._problem, self._told, self._heard = "", 0.0, time.monotonic()
            show(said.log)
            self.said = said
            for labels in said.wanted:
                self._wanted(labels)

    def _ask(self) -> SiteProgress:
        """What the process that runs the site says of itself.

        Raises:
            WorkerAway: None does.
        """
        problem = WorkerAway("no process of it runs")
        for handle in [self.site, *(other for other in self._sites if other is not self.site)]:
            try:
                said: SiteProgress = handle.call("progress", seconds=ANSWER_SECONDS)
            except WorkerAway as error:
                problem = error
                continue
            if not said.standby:
                self.site = handle
                return said
        raise problem
