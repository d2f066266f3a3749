"""Many recordings, one after the other: what is finished is not done again, and one that is broken does not stop the
others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreid._folders import FolderLock
from streamreid.camera_names import camera_name
from streamreid.config import CameraConfig, load_config
from streamreid.errors import ConfigError
from streamreid.media import VIDEO_SUFFIXES, is_video
from streamreid.runs.recording import Recording, RecordingResult, RecordingRunner, fingerprint, finished
from streamreid.runs.run import Progress, write_json

__all__ = ["Batch", "LeftOut", "Recording", "RecordingResult", "find_recordings", "survey", "write_results"]

_NO_VIDEO_INSIDE = "holds no video"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is no recording, and why."""

    path: Path
    reason: str


def find_recordings(paths: Sequence[Path], *, together: bool = False, independent: bool = False) -> list[Recording]:
    """What there is to do: the recordings of `survey`.

    Raises:
        ConfigError: A path does not exist, or no video was found at all.
    """
    return survey(paths, together=together, independent=independent)[0]


def survey(
    paths: Sequence[Path], *, together: bool = False, independent: bool = False
) -> tuple[list[Recording], list[LeftOut]]:
    """What there is to do, and what is left out.

    A video is a recording of its own. A folder gives one recording per video in it, and one per subfolder: its
    cams.yaml if there is one, else all its videos as cameras of one scene. Files in folders are known by their endings;
    a file that is named itself is always read. Hidden files do not count.

    Args:
        paths: Videos and folders.
        together: All videos given, or directly in a folder given, are cameras of one recording.
        independent: Videos in subfolders are independent too.

    Raises:
        ConfigError: A path does not exist, or no video was found at all.
    """
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
        out: Each recording gets a folder in here.
        settings: Sections of the configuration for all.
        left_out: What ``batch.json`` names as left out.
    """

    def __init__(
        self, recordings: Sequence[Recording], out: Path, settings: dict[str, Any], *, left_out: Sequence[LeftOut] = ()
    ) -> None:
        self.recordings = list(recordings)
        self.left_out = list(left_out)
        self.out = out
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
        with FolderLock(self.out):
            yield from self._run(progress, begin)

    def _run(self, progress: Progress | None, begin: Callable[[Recording], None] | None) -> Iterator[RecordingResult]:
        results: list[RecordingResult] = []
        for recording in self.recordings:
            if self._stopped:
                return
            if begin is not None:
                begin(recording)
            results.append(self._one(recording, progress))
            write_results(self.out, results, self.left_out)
            yield results[-1]

    def _one(self, recording: Recording, progress: Progress | None) -> RecordingResult:
        folder = self.out / recording.name
        mark = fingerprint(recording.config(self._sections))
        return finished(recording, folder, mark) or self._runner.run(recording, folder, mark=mark, progress=progress)


def write_results(out: Path, results: Sequence[RecordingResult], left_out: Sequence[LeftOut]) -> None:
    """Write ``batch.json``.

    Args:
        out: The folder of the batch; made if needed.
        results: How recordings ended, so far.
        left_out: What was no recording.

    Raises:
        OutputError: It cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    left = [{"path": str(item.path), "reason": item.reason} for item in left_out]
    write_json(out / "batch.json", {"schema": 1, "recordings": [_as_dict(r) for r in results], "left_out": left})


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
