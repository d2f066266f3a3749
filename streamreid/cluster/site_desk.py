"""Answers what workers ask of the site: batches are taken, leases are given. Nothing here needs Ray."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from streamreid.cluster.leases import LeaseHeld, Leases
from streamreid.cluster.request_bridge import Answer, Request
from streamreid.errors import StreamReIDError
from streamreid.secrets import redact

__all__ = ["SiteDesk"]


_LEASE_KINDS = ("acquire", "renew", "release", "revoke", "withdraw", "allow", "owners", "fences", "log")
_FIGURES_SECONDS = 1.0
"""Seconds over which frame rates are computed."""


class SiteDesk:
    """Where the requests of all workers arrive, from any thread.

    Args:
        receive: `SiteService.receive`.
        leases: Of all cameras.
        status: `SiteService.status`.
    """

    def __init__(
        self,
        receive: Callable[[bytes], bytes],
        leases: Leases,
        status: Callable[[], Mapping[str, dict[str, Any]]] = dict,
    ) -> None:
        self._kinds: dict[str, Callable[..., Any]] = {
            "batch": receive,
            **{kind: getattr(leases, kind) for kind in _LEASE_KINDS},
        }
        self.received = 0
        """Bytes of batches so far."""
        self.batches = 0
        self._status = status
        self._lock = threading.Lock()
        self._looked = -_FIGURES_SECONDS
        self._figures: dict[str, dict[str, Any]] = {}

    def figures(self) -> Mapping[str, dict[str, Any]]:
        """What the site knows of each camera: frames so far, frames per second, seconds since something came. From
        any thread; computed once a second."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= _FIGURES_SECONDS:
                counts = self._status()
                passed = now - self._looked
                self._figures = {
                    name: {
                        "frames": values["frames"],
                        "fps": round((values["frames"] - self._figures.get(name, values)["frames"]) / passed, 2),
                        "silent": values["silent"],
                    }
                    for name, values in counts.items()
                }
                self._looked = now
            return self._figures

    def answer(self, request: Request) -> Answer:
        """The answer to a request; what fails is told to who asked."""
        try:
            if request.kind == "batch":
                self.received += len(request.arguments[0])
                self.batches += 1
            return Answer(self._kinds[request.kind](*request.arguments))
        except LeaseHeld as error:
            return Answer(held=(error.camera, error.owner, error.seconds))
        except StreamReIDError as error:
            return Answer(problem=redact(error))
        except KeyError:
            return Answer(problem=f"the site knows no '{request.kind}': run the same streamreid everywhere")
