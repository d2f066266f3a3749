"""How the cameras of a live run differ from what its cameras file says, kept beside the results: a run that is started again goes on with it.

The cameras file is never written. What was changed by HTTP is kept in ``cameras.json``, camera by camera: added, removed, or which settings. The newer
word counts: where the entry of a camera in the file is no longer what it was when the change was made, the file has been edited since, and the change
is dropped. ``cameras.json`` may hold addresses with passwords, so only its owner may read it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

from streamreid._yaml import validate
from streamreid.config import CameraConfig
from streamreid.errors import ConfigError, OutputError
from streamreid.pipeline.cameras import Cameras
from streamreid.pipeline.files import write_json
from streamreid.secrets import hide_known, redact

__all__ = ["CHANGES", "CameraChanges"]

log = logging.getLogger(__name__)

CHANGES = "cameras.json"


class CameraChanges:
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

    def begin(self) -> tuple[CameraConfig, ...]:
        """The cameras to begin with: as said, with what is kept of earlier runs. What is gone on with, and what is dropped, is logged."""
        data = self._read() if self._keep else {}
        cameras = dict(self._said)
        done = []
        for name, item in data.get("cameras", {}).items():
            try:
                done += self._apply(cameras, name, item)
            except (ConfigError, KeyError, TypeError, AttributeError) as error:
                log.warning("'%s': what it says of camera '%s' cannot be used: %s", self.path, name, redact(error))
        if done:
            log.warning(
                "changes made by HTTP in earlier runs go on (remove '%s' to return to the cameras file): %s", self.path, "; ".join(done)
            )
        return tuple(cameras.values())

    def _apply(self, cameras: dict[str, CameraConfig], name: str, item: dict[str, Any]) -> list[str]:
        """Do to ``cameras`` what is kept of one; what was done, in words."""
        said = self._said.get(name)
        if item["said"] != (None if said is None else self._digest(said)):
            what = "was taken out of" if said is None else "was edited in" if item["said"] else "was written into"
            log.warning("camera '%s' %s the cameras file since it was changed by HTTP; what the file says counts", name, what)
            return []
        if item.get("removed"):
            del cameras[name]
            return [f"'{name}' removed"]
        settings = item["settings"]
        before = {} if said is None else said.model_dump()
        cameras[name] = validate(CameraConfig, {**before, **settings, "name": name}, where=f"{self.path}: camera '{name}'")
        return [f"'{name}' added" if said is None else f"'{name}' changed ({', '.join(sorted(settings))})"]

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data["schema"] != 1 or not isinstance(data["cameras"], dict):
                raise ValueError(f"schema {data['schema']} is not known")
            self._salt = str(data["salt"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            aside = self.path.with_name(CHANGES + ".damaged")
            log.error("'%s' is damaged (%s); it is kept as '%s', and cameras are as the cameras file says", self.path, error, aside)
            try:
                os.replace(self.path, aside)
            except OSError as again:
                raise OutputError(f"cannot move '{self.path}': {again.strerror or again}. Choose another folder (--out)") from again
            return {}
        return dict(data)

    # ---------------------------------------------------------------- while the run goes on

    def differences(self, now: Iterable[CameraConfig]) -> dict[str, list[str]]:
        """By camera: "added", "removed", or the names of the settings that differ."""
        found = {name: self._difference(name, config) for name, config in self._pairs(now)}
        return {name: keys for name, keys in found.items() if keys}

    def _pairs(self, now: Iterable[CameraConfig]) -> list[tuple[str, CameraConfig | None]]:
        present = {c.name: c for c in now}
        return [(name, present.get(name)) for name in {**self._said, **present}]

    def _difference(self, name: str, now: CameraConfig | None) -> list[str]:
        said = self._said.get(name)
        if now is None or said is None:
            return ["removed" if now is None else "added"]
        return sorted(key for key in type(now).model_fields if getattr(now, key) != getattr(said, key))

    def save(self, now: Iterable[CameraConfig]) -> None:
        """Keep how the cameras are.

        Raises:
            OutputError: ``cameras.json`` cannot be written.
        """
        if not self._keep:
            return
        with self._lock:
            items = {name: self._item(name, config) for name, config in self._pairs(now) if self._difference(name, config)}
            try:
                if items:
                    write_json(self.path, {"schema": 1, "salt": self._salt, "cameras": items}, private=True)
                else:
                    self.path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"cannot remove '{self.path}': {error.strerror or error}") from error

    def _item(self, name: str, now: CameraConfig | None) -> dict[str, Any]:
        said = self._said.get(name)
        base = None if said is None else self._digest(said)
        if now is None:
            return {"said": base, "removed": True}
        values = now.model_dump(mode="json", exclude_defaults=said is None)
        keys = values if said is None else self._difference(name, now)
        return {"said": base, "settings": {key: values[key] for key in keys if key != "name"}}

    def _digest(self, config: CameraConfig) -> str:
        """Tells whether an entry was edited. A password that comes from the environment may change without that being an edit."""
        text = hide_known(json.dumps(config.model_dump(mode="json", exclude_defaults=True), sort_keys=True))
        return hashlib.sha256((self._salt + text).encode()).hexdigest()

    def file_says(self, said: Sequence[CameraConfig], now: Iterable[CameraConfig]) -> None:
        """The cameras file was edited: its entries that are new or edited count from now on, also where HTTP had said otherwise."""
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
        for name in self.differences(cameras.configs):
            said = self._said.get(name)
            if said is None:
                cameras.remove(name)
            else:
                cameras.admit(said)
        self.save(cameras.configs)
