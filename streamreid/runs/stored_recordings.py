"""Recordings on storage that is reached by an address: found by the rules for folders, fetched one at a time, and their
results sent back.

A recording's files lie on this machine only while it is run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from streamreid.config import CameraConfig, Config
from streamreid.errors import SourceError
from streamreid.runs.result_folder import DONE, OWN_NAMES
from streamreid.runs.run import write_json
from streamreid.runs.scratch import scratch_folder
from streamreid.runs.storage import Storage, StoredFile

if TYPE_CHECKING:
    from streamreid.runs.recording import Recording

__all__ = ["LocalCopies", "Mirror", "StoredResults", "fetched"]

_PROBE = ".streamreid-probe"

SPARE_BYTES = 256 << 20
"""What is left free on the local disk beside a recording: its results, without films, are smaller."""


class Mirror:
    """The names of stored files as empty files of this machine, so that one set of rules says what is a recording.

    ``cams.yaml`` is fetched, because it says which cameras belong together.

    Args:
        address: Of a folder or file.
        folder: Where the empty files go.

    Attributes:
        address: Without a slash at its end.
        path: What stands for it here.
        unusable: Addresses of files whose names cannot be names of files here.

    Raises:
        ConfigError, MissingExtraError: See `Storage`.
        SourceError: There is nothing, or it cannot be listed.
    """

    def __init__(self, address: str, folder: Path) -> None:
        storage = Storage(address)
        self.address = storage.address
        self.path = folder / (PurePosixPath(self.address.partition("://")[2]).name or "recordings")
        self._files: dict[Path, StoredFile] = {}
        self.unusable: list[str] = []
        for file in storage.files():
            parts = file.name.split("/") if file.name else []
            target = self.path.joinpath(*parts)
            if any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > 255 for part in parts):
                self.unusable.append(file.address)
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch(exist_ok=False)
            except OSError:  # a file and a folder of one name
                self.unusable.append(file.address)
                continue
            self._files[target] = file
            if target.name == "cams.yaml":
                storage.fetch(file, target)

    def address_of(self, path: Path | str) -> str | None:
        """The address for which a path here stands; None if it stands for none."""
        try:
            below = Path(path).relative_to(self.path).as_posix()
        except ValueError:
            return None
        return self.address if below == "." else f"{self.address}/{below}"

    def stored(self, recording: Recording) -> Recording:
        """A recording that was found here, with the addresses of its files."""
        files: dict[str, StoredFile] = {}
        cameras = [self._camera(camera, files) for camera in recording.cameras]
        return replace(recording, cameras=tuple(cameras), stored=tuple(files.values()))

    def _below(self, path: Path) -> list[StoredFile]:
        return [file for place, file in self._files.items() if path in place.parents]

    def _camera(self, camera: CameraConfig, files: dict[str, StoredFile]) -> CameraConfig:
        def stored(text: str) -> str:
            address = None if "://" in text else self.address_of(text)
            if address is None:
                return text
            path = Path(text)
            # A folder of pictures is a camera, too.
            found = [self._files[path]] if path in self._files else self._below(path)
            files.update({file.address: file for file in found or [StoredFile(address, "", None, "missing")]})
            return address

        return _placed(camera, stored)


class LocalCopies:
    """Files of a recording on this machine.

    Args:
        config: Of the recording, with paths here.
        addresses: By path here, the address for which it stands.
    """

    def __init__(self, config: Config, addresses: Mapping[str, str]) -> None:
        self.config = config
        self._addresses = dict(addresses)

    def restored(self, text: str) -> str:
        """A text with addresses instead of paths here."""
        for path, address in sorted(self._addresses.items(), key=lambda item: -len(item[0])):
            text = text.replace(path, address)
        return text

    def restore(self, summary: Path) -> None:
        """Write addresses instead of paths here into a summary."""
        if self._addresses and summary.is_file():
            write_json(summary, _mapped(json.loads(summary.read_text(encoding="utf-8")), self.restored))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    return [_mapped(item, change) for item in value] if isinstance(value, list) else value


@contextmanager
def fetched(recording: Recording, config: Config, stopped: Callable[[], bool]) -> Iterator[LocalCopies]:
    """The files of a recording on this machine, for as long as this is entered.

    Args:
        recording: Whose files are fetched; one without stored files is left as it is.
        config: Of it.
        stopped: Whether to give up.

    Raises:
        SourceError: A file cannot be fetched, or there is no room for it.
        Interrupted: ``stopped`` said so.
        OutputError: There is no place for files.
    """
    if not recording.stored:
        yield LocalCopies(config, {})
        return
    with scratch_folder() as folder:
        needed, free = sum(file.size or 0 for file in recording.stored), shutil.disk_usage(folder).free
        if needed + SPARE_BYTES > free:
            raise SourceError(
                f"its {needed / 1e9:.1f} GB do not fit into '{folder.parent.parent}', which has {free / 1e9:.1f} GB "
                "free; set TMPDIR to a larger disk"
            )
        addresses: dict[str, str] = {}
        for number, base in enumerate(dict.fromkeys(file.base for file in recording.stored)):
            storage, root = Storage(base), folder / str(number)
            for file in recording.stored:
                if file.base == base:
                    target = root / (file.name or PurePosixPath(base.partition("://")[2]).name)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    storage.fetch(file, target, stopped=stopped)
                    addresses[str(target)] = file.address
            addresses[str(root)] = base
        paths = {address: path for path, address in reversed(addresses.items())}
        cameras = tuple(_placed(camera, lambda text: _place(text, paths)) for camera in config.cameras)
        yield LocalCopies(config.model_copy(update={"cameras": cameras}), addresses)


def _place(address: str, paths: Mapping[str, str]) -> str:
    """Where the file, or folder of pictures, of an address lies here."""
    if address in paths:
        return paths[address]
    for base, path in paths.items():
        if address.startswith(f"{base}/"):
            return path + address[len(base) :]
    return address


def _placed(camera: CameraConfig, place: Callable[[str], str]) -> CameraConfig:
    """A camera whose files are elsewhere."""
    update: dict[str, Any] = {"uri": place(camera.uri)}
    if camera.calibration is not None:
        given = {name: getattr(camera.calibration, name) for name in ("file", "intrinsics")}
        paths = {name: place(text) for name, text in given.items() if text is not None}
        update["calibration"] = camera.calibration.model_copy(update=paths)
    return camera.model_copy(update=update)


class StoredResults:
    """The folder of a batch on such storage.

    Args:
        address: Of the folder.

    Raises:
        ConfigError, MissingExtraError: See `Storage`.
    """

    def __init__(self, address: str) -> None:
        self._storage = Storage(address)
        self.address = self._storage.address

    def check(self) -> None:
        """Write something and remove it, before hours of work turn out to have no place.

        Raises:
            OutputError: It cannot be written.
        """
        self._storage.write(_PROBE, b"streamreid looks whether it can write here\n")
        self._storage.remove(_PROBE)

    def read(self, name: str) -> bytes | None:
        """See `Storage.read`."""
        return self._storage.read(name)

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        self._storage.write(name, data)

    def send(self, folder: Path, name: str) -> None:
        """Put the results of a folder of this machine in the place of those of a name. ``done.json`` goes first and
        comes last: where it is, everything is.

        Raises:
            OutputError: Something cannot be written.
        """
        new = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        self._replace(name, list(new), lambda file: self._storage.send(new[file], f"{name}/{file}"))

    def publish(self, attempt: str, name: str) -> None:
        """Put the results that a worker sent to a folder of its own in the place of those of a name.

        Raises:
            OutputError: Something cannot be moved.
            SourceError: The folder cannot be listed.
        """
        if not self._storage.exists(attempt):  # it failed before there was a result
            return
        new = [file.name[len(attempt) + 1 :] for file in self._storage.files(attempt)]
        self._replace(name, new, lambda file: self._storage.move(f"{attempt}/{file}", f"{name}/{file}"))
        self._storage.remove(attempt)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        self._storage.remove(name)

    def _replace(self, name: str, new: Sequence[str], put: Callable[[str], None]) -> None:
        there = self._storage.files(name) if self._storage.exists(name) else []
        old = [file.name[len(name) + 1 :] for file in there]
        if DONE in old:
            self._storage.remove(f"{name}/{DONE}")
        for file in sorted(new, key=lambda file: file == DONE):
            put(file)
        for file in old:
            if file not in new and file != DONE and any(_is_below(file, own) for own in OWN_NAMES):
                self._storage.remove(f"{name}/{file}")


def _is_below(file: str, name: str) -> bool:
    return file == name or file.startswith(f"{name}/")
