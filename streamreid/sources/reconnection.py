"""When to try a lost camera again."""

from __future__ import annotations

import random

from streamreid.errors import SourceError

__all__ = ["Backoff", "HopelessError"]

_FIRST = 0.25
"""Seconds before the first new attempt; doubled with each."""


class HopelessError(SourceError):
    """An error that trying again soon does not mend: a wrong password, a name that does not resolve.

    Args:
        message: What happened, where, and what to do.
        wait: Seconds before the next attempt makes sense.
        always: Whether that holds even for a camera that worked before (passwords: many cameras lock out whoever tries
            too often).
    """

    def __init__(self, message: str, *, wait: float, always: bool) -> None:
        super().__init__(message)
        self.wait = wait
        self.always = always


class Backoff:
    """Waiting times that double with every failure in a row, with jitter, so that cameras lost together do not come
    back together.

    Args:
        longest: Seconds at most, but for a `HopelessError`.
        limit: Attempts in a row without a picture before giving up; None: never.
    """

    def __init__(self, longest: float, limit: int | None) -> None:
        self._longest = longest
        self._limit = limit
        self._wait = _FIRST
        self._worked = False
        self.failures = 0

    def worked(self) -> None:
        """Tell that a picture came: failures are counted anew."""
        self._worked = True
        self.failures = 0

    def lasted(self) -> None:
        """Pictures came for a while: the next failure is a new one, not a row of the same."""
        self._wait = _FIRST

    def after(self, error: SourceError) -> float | None:
        """Seconds to wait after an attempt failed or a connection broke; None to give up.

        Args:
            error: Why.
        """
        if self._limit is not None and self.failures >= self._limit:
            return None
        self.failures += 1
        if isinstance(error, HopelessError) and (error.always or not self._worked):
            return error.wait * random.uniform(0.8, 1.2)  # noqa: S311
        wait = min(self._wait, self._longest)
        self._wait = min(2 * self._wait, max(self._longest, _FIRST))
        return wait * random.uniform(0.5, 1.0)  # noqa: S311
