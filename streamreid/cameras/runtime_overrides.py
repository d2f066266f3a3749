"""How the cameras of a live run differ from what its cameras file says, kept beside the results: a run that is started
again goes on with it.

The cameras file is never written. What was changed by HTTP is kept in ``cameras.json``, camera by camera: added,
removed, or which settings. The newer word counts: where the entry of a camera in the file is no longer what it was when
the change was made, the file has been edited since, and the change is dropped. ``cameras.json`` may hold addresses with
passwords, so only its owner may read it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

from streamreid._threads import Thread
from streamreid._yaml import validate
from streamreid.cameras.registry import Cameras
from streamreid.config import CameraConfig
from streamreid.errors import OutputError, StreamReIDError
from streamreid.files import write_json
from streamreid.secrets import hide_known, redact

__all__ = ["CHANGES", "CameraOverrides"]

log = logging.getLogger(__name__)

CHANGES = "cameras.json"
SET_ASIDE = "set aside"

_AGAIN_SECONDS = 2.0
"""Between attempts to write what could not be written."""

Configs = Iterable[CameraConfig] | Callable[[], Iterable[CameraConfig]]


class CameraOverrides:
    """The difference between the cameras of a run and those it was told to begin with.

    Args:
        folder: Of the results; ``cameras.json`` is read from it and kept in it.
        said: The cameras as file and command line say.
        keep: False only compares: nothing is read or written.
    """

    def __init__(self, folder: Path, said: Sequence[CameraConfig], *, keep: bool = True) -> None:
        self.path = folder / CHANGES
        self._said = {c.name: c for c in said}
        self._keep = keep
        self._lock = threading.Lock()
        self._salt = token_hex(16)
        self._aside: dict[str, Any] = {}
        self._unsaved: Configs | None = None
        self._again: threading.Thread | None = None
        self._closed = threading.Event()

    def begin(
        self, check: Callable[[CameraConfig, Sequence[CameraConfig]], None] | None = None
    ) -> tuple[CameraConfig, ...]:
        """The cameras to begin with: as said, with what is kept of earlier runs. What is gone on with, and what is
        dropped, is logged.

        Nothing that is kept stops a start. A change that cannot be used now (a calibration that is gone, a value that
        is not allowed any more) is set aside: its camera is as the cameras file says, or left out, the log says why,
        and it stays in ``cameras.json`` for later starts.

        Args:
            check: Raises an error of ours where a camera cannot begin beside others.
        """
        data = self._read() if self._keep else {}
        cameras = dict(self._said)
        done = []
        for name, item in data.get("cameras", {}).items():
            try:
                done += self._apply(cameras, name, item, check)
            except (StreamReIDError, KeyError, TypeError, AttributeError) as error:
                self._aside[name] = item
                log.error(
                    "'%s': what was changed by HTTP of camera '%s' cannot be used and is set aside: %s",
                    self.path,
                    name,
                    redact(error),
                )
        if done:
            log.warning(
                "changes made by HTTP in earlier runs go on (remove '%s' to return to the cameras file): %s",
                self.path,
                "; ".join(done),
            )
        return tuple(cameras.values())

    def _apply(
        self,
        cameras: dict[str, CameraConfig],
        name: str,
        item: dict[str, Any],
        check: Callable[[CameraConfig, Sequence[CameraConfig]], None] | None,
    ) -> list[str]:
        """Do to ``cameras`` what is kept of one; what was done, in words."""
        said = self._said.get(name)
        if item["said"] != (None if said is None else self._digest(said)):
            what = "was taken out of" if said is None else "was edited in" if item["said"] else "was written into"
            log.warning(
                "camera '%s' %s the cameras file since it was changed by HTTP; what the file says counts", name, what
            )
            return []
        if item.get("removed"):
            del cameras[name]
            return [f"'{name}' removed"]
        settings = item["settings"]
        before = {} if said is None else said.model_dump()
        config = validate(CameraConfig, {**before, **settings, "name": name}, where=f"{self.path}: camera '{name}'")
        if check is not None:
            check(config, [c for c in cameras.values() if c.name != name])
        cameras[name] = config
        return [f"'{name}' added" if said is None else f"'{name}' changed ({', '.join(sorted(settings))})"]

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data["schema"] != 1 or not isinstance(data["cameras"], dict):
                raise ValueError(f"schema {data['schema']} is not known")
            self._salt = str(data["salt"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            aside = self.path.with_name(CHANGES + ".damaged")
            log.error(
                "'%s' is damaged (%s); it is kept as '%s', and cameras are as the cameras file says",
                self.path,
                error,
                aside,
            )
            try:
                os.replace(self.path, aside)
            except OSError as again:
                raise OutputError(
                    f"cannot move '{self.path}': {again.strerror or again}. Choose another folder (--out)"
                ) from again
            return {}
        return dict(data)

    # ---------------------------------------------------------------- while the run goes on

    def differences(self, now: Iterable[CameraConfig]) -> dict[str, list[str]]:
        """By camera: "added", "removed", "set aside", or the names of the settings that differ."""
        found = {name: self._difference(name, config) for name, config in self._pairs(now)}
        found |= {name: [SET_ASIDE] for name in self._aside if not found.get(name)}
        return {name: keys for name, keys in found.items() if keys}

    def _pairs(self, now: Iterable[CameraConfig]) -> list[tuple[str, CameraConfig | None]]:
        present = {c.name: c for c in now}
        return [(name, present.get(name)) for name in {**self._said, **present}]

    def _difference(self, name: str, now: CameraConfig | None) -> list[str]:
        said = self._said.get(name)
        if now is None or said is None:
            return ["removed" if now is None else "added"]
        return sorted(key for key in type(now).model_fields if getattr(now, key) != getattr(said, key))

    def save(self, now: Configs) -> None:
        """Keep how the cameras are. What cannot be written is tried again every few seconds until it is.

        Args:
            now: The cameras, or what tells them at the moment of writing.

        Raises:
            OutputError: ``cameras.json`` cannot be written now.
        """
        if not self._keep:
            return
        with self._lock:
            try:
                self._write(now() if callable(now) else now)
                self._unsaved = None
            except OutputError as error:
                self._unsaved = now
                if (self._again is None or not self._again.is_alive()) and not self._closed.is_set():
                    self._again = Thread(target=self._try_again, name="changes", daemon=True)
                    self._again.start()
                raise OutputError(
                    f"{error} The change holds in this run, and writing is tried again until it works"
                ) from error

    def _try_again(self) -> None:
        while not self._closed.wait(_AGAIN_SECONDS):
            if self._tried_again():
                return

    def _tried_again(self) -> bool:
        """Write what could not be written; whether nothing is left to do."""
        with self._lock:
            if self._unsaved is None:
                return True
            try:
                self._write(self._unsaved() if callable(self._unsaved) else self._unsaved)
            except OutputError:
                return False
            self._unsaved = None
        log.warning("'%s' is written: changes that could not be kept before are kept now", self.path)
        return True

    def close(self) -> None:
        """Try for the last time to write what could not be written."""
        self._closed.set()
        if not self._tried_again():
            log.error("'%s' could not be written: the last changes by HTTP are lost when the run ends", self.path)

    def forget(self, name: str) -> bool:
        """Drop a change that was set aside; whether there was one. `save` writes it."""
        return self._aside.pop(name, None) is not None

    def _write(self, now: Iterable[CameraConfig]) -> None:
        items = dict(self._aside)
        items |= {name: self._item(name, config) for name, config in self._pairs(now) if self._difference(name, config)}
        try:
            if items:
                write_json(self.path, {"schema": 1, "salt": self._salt, "cameras": items}, private=True)
            else:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove '{self.path}': {error.strerror or error}.") from error

    def _item(self, name: str, now: CameraConfig | None) -> dict[str, Any]:
        said = self._said.get(name)
        base = None if said is None else self._digest(said)
        if now is None:
            return {"said": base, "removed": True}
        values = now.model_dump(mode="json", exclude_defaults=said is None)
        keys = values if said is None else self._difference(name, now)
        return {"said": base, "settings": {key: values[key] for key in keys if key != "name"}}

    def _digest(self, config: CameraConfig) -> str:
        """Tells whether an entry was edited. A password that comes from the environment may change without that being
        an edit."""
        text = hide_known(json.dumps(config.model_dump(mode="json", exclude_defaults=True), sort_keys=True))
        return hashlib.sha256((self._salt + text).encode()).hexdigest()

    def file_says(self, said: Sequence[CameraConfig], now: Iterable[CameraConfig]) -> None:
        """The cameras file was edited: its entries that are new or edited count from now on, also where HTTP had said
        otherwise."""
        new = {c.name: c for c in said}
        for name, keys in self.differences(now).items():
            if new.get(name) != self._said.get(name):
                log.warning(
                    "camera '%s' was changed by HTTP (%s); the cameras file was edited since, and what it says counts",
                    name,
                    ", ".join(keys),
                )
        self._said = new

    def revert(self, cameras: Cameras) -> None:
        """Return to what file and command line say; cameras that cannot be opened are then known as failed."""
        self._aside.clear()
        for name in self.differences(cameras.configs):
            said = self._said.get(name)
            if said is None:
                cameras.remove(name)
            else:
                cameras.admit(said)
        self.save(lambda: cameras.configs)
