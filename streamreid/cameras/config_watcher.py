"""The cameras file, watched: what is written there happens in the run, a second later."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from streamreid._threads import Thread
from streamreid.cameras.registry import Cameras
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.config import Config, load_config
from streamreid.errors import ConfigError, OutputError, StreamReIDError
from streamreid.secrets import redact

__all__ = ["CameraConfigWatcher"]

log = logging.getLogger(__name__)

_SECONDS = 1.0
"""Seconds between looks at the file: a change takes effect while its writer still watches."""


class CameraConfigWatcher:
    """Adds, removes, pauses and changes cameras as a YAML file says. Use as a context manager around the run.

    Only differences from what the file said before count, so cameras that came by other ways stay. A file with a
    mistake changes nothing and is said once. Settings other than cameras, zones and lines need a new start, which is
    said too.

    Args:
        path: The file.
        cameras: Those of the run.
        load: Reads the file; the run's own way adds what the command line says.
        changes: Told what the file says, because its newer word counts more than earlier changes by HTTP.
        places: Follows zones and lines; the names of those that changed. None leaves them to the next start.
        seconds: Between two looks.
    """

    def __init__(
        self,
        path: Path,
        cameras: Cameras,
        *,
        load: Callable[[], Config] | None = None,
        changes: CameraOverrides | None = None,
        places: Callable[[Config], Sequence[str]] | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        self._path = path
        self._cameras = cameras
        self._load = load or partial(load_config, path)
        self._changes = changes
        self._places = places
        self._seconds = seconds
        self._before = self._load()
        self._text = path.read_bytes()
        self._stopped = threading.Event()
        self._thread = Thread(target=self._run, name="cameras-file", daemon=True)

    def __enter__(self) -> CameraConfigWatcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(2)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self.reload_if_changed()

    def reload_if_changed(self) -> None:
        """Follow the file if it has changed."""
        try:
            text = self._path.read_bytes()
        except OSError:
            return  # editors replace files; a file that is gone for good changes nothing
        if text == self._text:
            return
        self._text = text
        try:
            now = self._load()
        except ConfigError as error:
            log.warning("the cameras file has a mistake; everything stays as it was: %s", redact(error))
            return
        before, self._before = self._before, now
        followed: dict[str, object] = {"cameras": now.cameras}
        if self._places is not None:
            followed |= {"zones": now.zones, "lines": now.lines}
        if before.model_copy(update=followed) != now:
            log.warning(
                "'%s': settings other than cameras, zones and lines take effect when the run is started again",
                self._path,
            )
        self._follow(before, now)
        if self._places is not None:
            self._follow_places(self._places, now)

    def _follow_places(self, follow: Callable[[Config], Sequence[str]], now: Config) -> None:
        try:
            names = follow(now)
        except StreamReIDError as error:
            log.error("zones and lines cannot be as '%s' says: %s", self._path, redact(error))
            return
        if names:
            log.warning("zones and lines are as '%s' says: %s", self._path, ", ".join(names))

    def _follow(self, before: Config, now: Config) -> None:
        old, new = ({c.name: c for c in config.cameras} for config in (before, now))
        if self._changes is not None:
            self._changes.file_says(now.cameras, self._cameras.configs)
        known = {c.name for c in self._cameras.configs}
        for name in (old.keys() - new.keys()) & known:
            self._try(name, "removed", partial(self._cameras.remove, name))
        for name, config in new.items():
            if config != old.get(name):
                what = "paused" if config.paused else "changed" if name in old else "added"
                self._try(name, what, partial(self._cameras.admit, config))
        if self._changes is not None:
            try:
                self._changes.save(lambda: self._cameras.configs)
            except OutputError as error:
                log.error("%s", error)

    def _try(self, name: str, what: str, act: Callable[[], bool | None]) -> None:
        try:
            if act() is not False:  # a camera that cannot be opened was said to have failed already
                log.warning("camera '%s' %s, as '%s' says", name, what, self._path)
        except StreamReIDError as error:
            log.error("camera '%s' cannot be %s: %s", name, what, redact(error))
