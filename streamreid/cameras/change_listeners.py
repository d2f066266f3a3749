"""Whoever wants to hear of changes of the cameras: the event stream of the HTTP interface, logs."""

from __future__ import annotations

from collections.abc import Callable

from streamreid.secrets import redact

__all__ = ["ChangeListener", "ChangeListeners"]

ChangeListener = Callable[[str, str, str], None]
"""Called with the name of a camera, what happened (added, removed, paused, changed, failed, or a state of its source)
and why, in whatever thread noticed; must not raise and not take long."""


class ChangeListeners:
    """Tells changes of cameras, without passwords."""

    def __init__(self) -> None:
        self._listeners: list[ChangeListener] = []

    def __repr__(self) -> str:
        return f"ChangeListeners({len(self._listeners)})"

    def add(self, listener: ChangeListener) -> None:
        """Tell this one too from now on."""
        self._listeners.append(listener)

    def __call__(self, camera: str, what: str, why: str = "") -> None:
        """Tell every listener of a change of the cameras."""
        for listener in list(self._listeners):
            listener(camera, what, redact(why))
