"""Many recordings, one after the other: what is finished is not done again, and one that is broken does not stop the
others."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from streamreid._folders import FolderLock
from streamreid.camera_names import camera_name, file_name
from streamreid.config import CameraConfig, Config, load_config
from streamreid.config.changes import as_changes, change_settings
from streamreid.detection import Detector, detector_checksum
from streamreid.errors import ConfigError, FolderBusy, OutputError, StreamReIDError
from streamreid.media import VIDEO_SUFFIXES, is_video
from streamreid.pipeline.detectors import box_files, open_detectors
from streamreid.pipeline.pipeline import Pipeline
from streamreid.reid import Embedder, engine_fingerprint, open_embedder
from streamreid.runs.result_folder import DONE
from streamreid.runs.run import Progress, Summary, run, write_json
from streamreid.secrets import redact

__all__ = ["Batch", "LeftOut", "Recording", "RecordingResult", "find_recordings", "survey"]

log = logging.getLogger(__name__)

_NO_VIDEO_INSIDE = "holds no video"
Status = Literal["done", "skipped", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Recording:
    """One job: cameras that belong together.

    Args:
        name: Folder of its results.
        cameras: Its cameras; a single one for an independent video.
        settings: Sections of its own YAML file, which win over the batch's.
    """

    name: str
    cameras: tuple[CameraConfig, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str | None:
        """What its only video is called, where that says more than the recording's name."""
        return file_name(self.name, self.cameras[0].uri) if len(self.cameras) == 1 else None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is no recording, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """How one recording ended; ``reason`` says why it failed, in part or as a whole, ``file`` what its only video is
    called if not like the recording."""

    name: str
    status: Status
    reason: str = ""
    frames: int = 0
    identities: int = 0
    seconds: float = 0.0
    file: str | None = None
    confirmed: int = 0
    unlinked_tracks: int = 0


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
        self._settings = settings
        self._pipeline: Pipeline | None = None
        self._stopped = False
        self._models: dict[str, tuple[Detector, Embedder]] = {}

    def stop(self) -> None:
        """Finish the recording in work with what it has, begin no other."""
        self._stopped = True
        if self._pipeline is not None:
            self._pipeline.stop()

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
            results.append(replace(self._one(recording, progress), file=recording.file))
            self.out.mkdir(parents=True, exist_ok=True)
            left = [{"path": str(item.path), "reason": item.reason} for item in self.left_out]
            write_json(
                self.out / "batch.json", {"schema": 1, "recordings": [_as_dict(r) for r in results], "left_out": left}
            )
            yield results[-1]

    def _one(self, recording: Recording, progress: Progress | None) -> RecordingResult:
        folder = self.out / recording.name
        sections = change_settings(self._settings, as_changes(recording.settings))
        config = Config.from_dict(
            {"cameras": [c.model_dump() for c in recording.cameras], **sections}, where=f"recording '{recording.name}'"
        )
        mark = _mark(config)
        done = _finished(folder, mark)
        if done is not None:
            return RecordingResult(
                recording.name,
                "skipped",
                "finished before",
                done["frames"],
                done["identities"],
                done["seconds"],
                confirmed=done.get("confirmed", 0),
                unlinked_tracks=done.get("unlinked_tracks", 0),
            )
        try:
            detector, embedder = self._model(config)
            with Pipeline(config, detector=detector, embedder=embedder) as self._pipeline:
                if self._stopped:
                    self._pipeline.stop()
                summary = run(self._pipeline, folder, progress=progress)
        except OutputError as error:
            if not isinstance(error, FolderBusy):
                raise
            return RecordingResult(recording.name, "failed", redact(error))
        except StreamReIDError as error:
            log.error("recording '%s' failed: %s", recording.name, redact(error))
            return RecordingResult(recording.name, "failed", redact(error))
        finally:
            self._pipeline = None
        return self._ended(recording, folder, mark, summary)

    def _ended(self, recording: Recording, folder: Path, mark: str, summary: Summary) -> RecordingResult:
        figures = {"frames": summary.frames, "identities": summary.identities, "seconds": round(summary.seconds, 2)}
        more: dict[str, Any] = {"confirmed": summary.confirmed, "unlinked_tracks": summary.unlinked_tracks}
        reasons = [f"{name}: {summary.cameras[name].error}" for name in summary.failed]
        reasons += [f"output '{name}': {why}" for name, why in summary.outputs_failed.items()]
        reason = "; ".join(reasons)
        status: Status = "interrupted" if summary.interrupted else "failed" if reasons else "done"
        if status == "done":
            write_json(folder / DONE, {"mark": mark, **figures, **more})
        return RecordingResult(
            recording.name, status, reason, summary.frames, summary.identities, summary.seconds, **more
        )

    def _model(self, config: Config) -> tuple[Detector, Embedder]:
        key = config.detector.model_dump_json() + config.engine.model_dump_json() + repr(box_files(config))
        if key not in self._models:
            self._models.clear()
            self._models[key] = (open_detectors(config), open_embedder(config.engine))
        return self._models[key]


def _mark(config: Config) -> str:
    """Changes when a setting, a model's content, or a recording's size or date changes."""
    files = []
    for camera in config.cameras:
        path = Path(camera.uri)
        if path.exists():
            stat = path.stat()
            files.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns])
    models = [detector_checksum(config.detector), engine_fingerprint(config.engine.model)]
    text = json.dumps([config.model_dump(mode="json", exclude={"output": {"dir"}}), files, models], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(folder: Path, mark: str) -> dict[str, Any] | None:
    try:
        data = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("mark") == mark and (folder / "summary.json").exists() else None


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
