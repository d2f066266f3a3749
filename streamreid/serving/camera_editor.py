"""Cameras added, changed and removed by HTTP: checked like the YAML, opened in time or not at all, kept for the next
start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from pydantic import AliasChoices

from streamreid._yaml import validate
from streamreid.cameras.registry import Cameras
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.config import CameraConfig
from streamreid.errors import CameraExists, CameraNotFound, ConfigError, SourceError
from streamreid.pipeline.ground_plane import check_calibration
from streamreid.secrets import HIDDEN, redact
from streamreid.serving.worker_pool import BusyError, Claim

__all__ = ["CameraEditor"]

MOST_CAMERAS = 1000
"""Of a run, when some are added by HTTP."""


class CameraEditor:
    """Changes the cameras of a run. Methods take long where a camera is opened; call them in a thread that may wait.

    Args:
        cameras: Those of the run.
        changes: Keeps what is changed.
    """

    def __init__(self, cameras: Cameras, changes: CameraOverrides) -> None:
        self._cameras = cameras
        self._changes = changes
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def known(self, name: str) -> CameraConfig:
        """A camera.

        Raises:
            CameraNotFound: There is none of that name.
        """
        found = [c for c in self._cameras.configs if c.name == name]
        if not found:
            raise CameraNotFound(name, [c.name for c in self._cameras.configs][:20])
        return found[0]

    # Secrets in ${...} are not expanded here: whoever may add a camera is not therefore to read the environment.
    def add(self, body: dict[str, Any], claim: Claim) -> CameraConfig:
        """Add a camera.

        Args:
            body: The keys of the YAML.
            claim: Whether it is still wanted once it is open.

        Raises:
            CameraExists: There is one of that name.
            ConfigError: Something is wrong with it.
            SourceError: It cannot be opened.
        """
        config = validate(CameraConfig, body, where="camera")
        with self._alone(config.name):
            configs = self._cameras.configs
            if any(c.name == config.name for c in configs):
                raise CameraExists(config.name, f"change it with PATCH /cameras/{config.name}")
            if len(configs) >= MOST_CAMERAS:
                raise ConfigError(
                    f"there are {len(configs)} cameras, and no more than {MOST_CAMERAS} by HTTP; remove some first"
                )
            self._check(config)
            self._cameras.add(config, claim=claim.take)
            self._changes.forget(config.name)
            self._keep()
        return config

    def change(self, name: str, body: dict[str, Any], claim: Claim) -> CameraConfig:
        """Change settings of a camera.

        Args:
            name: Of the camera.
            body: The keys to change. A ``uri`` in which the password is hidden, as it is shown, keeps the password.
            claim: Whether it is still wanted once it is open.

        Raises:
            CameraNotFound: There is none of that name.
            ConfigError: Something is wrong with it.
            SourceError: It cannot be opened; everything stays as it was.
        """
        with self._alone(name):
            before = self.known(name)
            merged = {**before.model_dump(), **_canonical(body)}
            if isinstance(merged["uri"], str):
                merged["uri"] = _with_password(merged["uri"], before.uri)
            config = validate(CameraConfig, merged, where="camera")
            if config.name != name:
                raise ConfigError(f"camera '{name}': a name cannot be changed; remove the camera and add another")
            self._check(config)
            self._cameras.change(config, claim=claim.take)
            self._changes.forget(name)
            self._keep()
        return config

    def remove(self, name: str) -> None:
        """Take a camera out, or drop one that was set aside at the start.

        Raises:
            CameraNotFound: There is none of that name.
        """
        with self._alone(name):
            if not (self._changes.forget(name) and all(c.name != name for c in self._cameras.configs)):
                self._cameras.remove(name)
            self._keep()

    def pause(self, name: str) -> CameraConfig:
        """Let a camera rest.

        Raises:
            CameraNotFound: There is none of that name.
        """
        with self._alone(name):
            self._cameras.pause(name)
            self._keep()
        return self.known(name)

    def resume(self, name: str, claim: Claim) -> CameraConfig:
        """Read a camera again.

        Raises:
            CameraNotFound: There is none of that name.
            SourceError: It cannot be opened; it counts as failed then.
        """
        with self._alone(name):
            try:
                self._cameras.resume(name, claim=claim.take)
            except SourceError as error:
                self._cameras.fail(name, error)
                raise
            self._keep()
        return self.known(name)

    def revert(self) -> None:
        """Return to what the cameras file says."""
        self._changes.revert(self._cameras)

    def _check(self, config: CameraConfig) -> None:
        """What a start would refuse is refused now."""
        if HIDDEN in config.uri:
            raise ConfigError("camera: uri: '***' stands for what is not shown; write the password itself")
        check_calibration(config)

    def _keep(self) -> None:
        self._changes.save(lambda: self._cameras.configs)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One change of a camera at a time; a second one is refused and does not wait, or those who wait would use up
        all threads."""
        with self._lock:
            if name in self._busy:
                raise BusyError(f"camera '{name}' is being changed by another request; try again")
            self._busy.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(name)


def _canonical(body: dict[str, Any]) -> dict[str, Any]:
    """``body`` with the names of the settings where it uses other names for them, so that it replaces what is there."""
    result = dict(body)
    for name, field in CameraConfig.model_fields.items():
        others = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else ()
        for other in others:
            if isinstance(other, str) and other in result and name not in result:
                result[name] = result.pop(other)
    return result


def _with_password(given: str, current: str) -> str:
    """An address as it was shown, with what was hidden; only for the same user at the same host, or the password would
    go elsewhere."""
    if given == redact(current):
        return current
    try:
        new, old = urlsplit(given), urlsplit(current)
        (new_user, new_host), (old_user, old_host) = (p.netloc.rpartition("@")[::2] for p in (new, old))
        same = (new.scheme, new_host) == (
            old.scheme,
            old_host,
        ) and new_user == f"{old_user.partition(':')[0]}:{HIDDEN}"
        return new._replace(netloc=old.netloc).geturl() if same else given
    except ValueError:
        return given
