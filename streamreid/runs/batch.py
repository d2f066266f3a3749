"""Many recordings, one after the other: what is finished is not done again, and one that is broken does not stop the
others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamreid._folders import FolderLock
from streamreid.camera_names import camera_name
from streamreid.config import CameraConfig, load_config
from streamreid.errors import ConfigError, OutputError, SourceError
from streamreid.media import VIDEO_SUFFIXES, is_video
from streamreid.runs.recording import (
    Recording,
    RecordingResult,
    RecordingRunner,
    fingerprint,
    finished,
    read_finished,
)
from streamreid.runs.result_folder import DONE
from streamreid.runs.run import Progress, write_json
from streamreid.runs.scratch import scratch_folder
from streamreid.runs.storage import local_or_address
from streamreid.runs.stored_recordings import Mirror, StoredResults
from streamreid.secrets import redact

__all__ = [
    "Batch",
    "LeftOut",
    "Recording",
    "RecordingResult",
    "find_recordings",
    "send_results",
    "survey",
    "write_results",
]

_NO_VIDEO_INSIDE = "holds no video"
_UNUSABLE = "a name that no file here can have"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is no recording, and why."""

    path: Path | str
    reason: str


def find_recordings(
    paths: Sequence[Path | str], *, together: bool = False, independent: bool = False
) -> list[Recording]:
    """What there is to do: the recordings of `survey`.

    Raises:
        ConfigError: A path does not exist, or no video was found at all.
    """
    return survey(paths, together=together, independent=independent)[0]


def survey(
    paths: Sequence[Path | str], *, together: bool = False, independent: bool = False
) -> tuple[list[Recording], list[LeftOut]]:
    """What there is to do, and what is left out.

    A video is a recording of its own. A folder gives one recording per video in it, and one per subfolder: its
    cams.yaml if there is one, else all its videos as cameras of one scene. Files in folders are known by their endings;
    a file that is named itself is always read. Hidden files do not count. The same holds of addresses of storage
    (``s3://bucket/videos``), whose files are fetched when their recording is run.

    Args:
        paths: Videos and folders: paths, or addresses as texts.
        together: All videos given, or directly in a folder given, are cameras of one recording.
        independent: Videos in subfolders are independent too.

    Raises:
        ConfigError: A path does not exist, or no video was found at all; an address cannot be used.
        MissingExtraError: The package for an address is not installed.
        SourceError: There is nothing at an address, or it cannot be listed.
    """
    here = [local_or_address(path) if isinstance(path, str) else path for path in paths]
    if not any(isinstance(path, str) for path in here):
        return _survey([Path(path) for path in here], together=together, independent=independent)
    with scratch_folder() as folder:
        mirrors = {
            number: Mirror(path, folder / str(number)) for number, path in enumerate(here) if isinstance(path, str)
        }
        local = [mirrors[number].path if number in mirrors else Path(path) for number, path in enumerate(here)]
        try:
            recordings, left = _survey(local, together=together, independent=independent)
        except ConfigError as error:
            said = str(error)
            for mirror in mirrors.values():
                said = said.replace(str(mirror.path), redact(mirror.address))
            raise ConfigError(said) from None
        for mirror in mirrors.values():
            recordings = [mirror.stored(recording) for recording in recordings]
            left = [LeftOut(mirror.address_of(item.path) or item.path, item.reason) for item in left]
            left += [LeftOut(redact(address), _UNUSABLE) for address in mirror.unusable]
    return recordings, left


def _survey(paths: Sequence[Path], *, together: bool, independent: bool) -> tuple[list[Recording], list[LeftOut]]:
    found: list[tuple[str, list[Path]]] = []
    loose: list[Path] = []
    left: list[LeftOut] = []
    for path in paths:
        if path.is_dir():
            entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
            loose += _videos([p for p in entries if p.is_file()], left)
            for folder in (p for p in entries if p.is_dir()):
                found += _of_folder(folder, independent, left)
        elif path.exists():
            loose.append(path)
        else:
            raise ConfigError(f"'{path}' does not exist; give videos or a folder that holds videos")
    if together and loose:
        found.insert(0, (paths[0].resolve().name if paths[0].is_dir() else "recording", loose))
    else:
        found[:0] = [(p.stem, [p]) for p in loose]
    if not found:
        raise ConfigError(
            f"no video in {', '.join(str(p) for p in paths)}; known endings: {' '.join(sorted(VIDEO_SUFFIXES))}"
        )
    names: list[str] = []
    return [_recording(camera_name(name, names), files) for name, files in found], left


def _of_folder(folder: Path, independent: bool, left: list[LeftOut]) -> list[tuple[str, list[Path]]]:
    """The recordings of a subfolder by name."""
    own = folder / "cams.yaml"
    if own.exists():
        return [(folder.name, [own])]
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )
    inside = _videos(files, left)
    if not inside:
        left[len(left) - len(files) :] = [LeftOut(folder, _NO_VIDEO_INSIDE)]
        return []
    return [(f"{folder.name}-{p.stem}", [p]) for p in inside] if independent else [(folder.name, inside)]


def _videos(files: Sequence[Path], left: list[LeftOut]) -> list[Path]:
    """Those of some files that are videos by their endings; the others are added to ``left``."""
    for path in files:
        if path.name == "cams.yaml":
            left.append(LeftOut(path, "counts in subfolders only; run it with: streamreid run --sources"))
        elif not is_video(path):
            left.append(LeftOut(path, "not the ending of a video; name the file itself to have it read"))
    return [path for path in files if is_video(path)]


def _recording(name: str, files: list[Path]) -> Recording:
    if files[0].suffix == ".yaml":
        config = load_config(files[0])
        settings = {k: v for k, v in config.model_dump(exclude_defaults=True).items() if k not in ("cameras", "output")}
        return Recording(name, config.cameras, settings)
    taken: list[str] = []
    return Recording(name, tuple(CameraConfig(name=camera_name(str(f), taken), uri=str(f)) for f in files))


class Batch:
    """Runs recordings one after the other with one detector and one engine.

    Args:
        recordings: From :func:`find_recordings`.
        out: Each recording gets a folder in here: a path, or the address of a folder on storage.
        settings: Sections of the configuration for all.
        left_out: What ``batch.json`` names as left out.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        out: Path | str,
        settings: dict[str, Any],
        *,
        left_out: Sequence[LeftOut] = (),
    ) -> None:
        self.recordings = list(recordings)
        self.left_out = list(left_out)
        place = local_or_address(out) if isinstance(out, str) else out
        self._results = StoredResults(place) if isinstance(place, str) else None
        self.out = Path(place)
        self._sections = settings
        self._stopped = False
        self._runner = RecordingRunner(settings)

    def stop(self) -> None:
        """Finish the recording in work with what it has, begin no other."""
        self._stopped = True
        self._runner.stop()

    def run(
        self, *, progress: Progress | None = None, begin: Callable[[Recording], None] | None = None
    ) -> Iterator[RecordingResult]:
        """Run all; yields how each ended. ``batch.json`` in the output folder always holds the results so far.

        Raises:
            FolderBusy: Another batch writes to the output folder.
            OutputError: The output folder cannot be written.
        """
        with ExitStack() as stack:
            if self._results is None:
                stack.enter_context(FolderLock(self.out))
            else:
                self._results.check()
                self.out = stack.enter_context(scratch_folder())
            yield from self._run(progress, begin)

    def _run(self, progress: Progress | None, begin: Callable[[Recording], None] | None) -> Iterator[RecordingResult]:
        results: list[RecordingResult] = []
        for recording in self.recordings:
            if self._stopped:
                return
            if begin is not None:
                begin(recording)
            results.append(self._one(recording, progress))
            write_results(self._results or self.out, results, self.left_out)
            yield results[-1]

    def _one(self, recording: Recording, progress: Progress | None) -> RecordingResult:
        folder = self.out / recording.name
        mark = fingerprint(recording.config(self._sections), recording.stored)
        if self._results is None:
            before = finished(recording, folder, mark)
            return before or self._runner.run(recording, folder, mark=mark, progress=progress)
        before = read_finished(recording, self._results.read(f"{recording.name}/{DONE}"), mark)
        if before is not None:
            return before
        result = self._runner.run(recording, folder, mark=mark, progress=progress)
        return send_results(self._results, folder, recording.name, result)


def send_results(results: StoredResults, folder: Path, name: str, result: RecordingResult) -> RecordingResult:
    """Send what a recording left in a folder of this machine, and remove it here.

    Args:
        results: Where to.
        folder: What to send; it may be missing, where the recording failed before there was a result.
        name: Of the folder there.
        result: How the recording ended.

    Returns:
        The same, or that its results cannot be sent.
    """
    try:
        if folder.is_dir():
            results.send(folder, name)
    except (OutputError, SourceError) as error:
        return replace(result, status="failed", reason=redact(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def write_results(out: Path | StoredResults, results: Sequence[RecordingResult], left_out: Sequence[LeftOut]) -> None:
    """Write ``batch.json``.

    Args:
        out: The folder of the batch; made if needed.
        results: How recordings ended, so far.
        left_out: What was no recording.

    Raises:
        OutputError: It cannot be written.
    """
    left = [{"path": redact(item.path), "reason": item.reason} for item in left_out]
    data = {"schema": 1, "recordings": [_as_dict(r) for r in results], "left_out": left}
    if isinstance(out, StoredResults):
        out.write("batch.json", json.dumps(data, indent=2, ensure_ascii=False).encode())
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "batch.json", data)


def _as_dict(result: RecordingResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "status": result.status,
        "reason": result.reason,
        "frames": result.frames,
        "identities": result.identities,
        "confirmed": result.confirmed,
        "unlinked_tracks": result.unlinked_tracks,
        "seconds": round(result.seconds, 2),
        "file": result.file,
    }
