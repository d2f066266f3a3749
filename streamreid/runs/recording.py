"""One recording of a batch: what it is, how it is run into its folder, and how it ended."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from streamreid.camera_names import file_name
from streamreid.config import CameraConfig, Config
from streamreid.config.changes import as_changes, change_settings
from streamreid.detection import Detector, detector_checksum
from streamreid.errors import FolderBusy, OutputError, StreamReIDError
from streamreid.pipeline.detectors import box_files, open_detectors
from streamreid.pipeline.pipeline import Pipeline
from streamreid.reid import Embedder, engine_fingerprint, open_embedder
from streamreid.runs.result_folder import DONE
from streamreid.runs.run import Progress, Summary, run, write_json
from streamreid.runs.storage import Interrupted, StoredFile
from streamreid.runs.stored_recordings import LocalCopies, fetched
from streamreid.secrets import redact

__all__ = ["Recording", "RecordingResult", "RecordingRunner", "fingerprint", "finished", "read_finished"]

log = logging.getLogger(__name__)

Status = Literal["done", "skipped", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Recording:
    """One job: cameras that belong together.

    Args:
        name: Folder of its results.
        cameras: Its cameras; a single one for an independent video.
        settings: Sections of its own YAML file, which win over the batch's.
        stored: Its files on storage that is reached by an address, which are fetched when it is run.
    """

    name: str
    cameras: tuple[CameraConfig, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    stored: tuple[StoredFile, ...] = ()

    def config(self, sections: dict[str, Any]) -> Config:
        """The configuration of its run.

        Args:
            sections: Those of the batch.

        Raises:
            ConfigError: They do not fit together.
        """
        sections = change_settings(sections, as_changes(self.settings))
        cameras = [c.model_dump() for c in self.cameras]
        if self.stored:  # addresses of storage are no sources: what they lead to is
            cameras = [{**c, "uri": f"stored/{number}"} for number, c in enumerate(cameras)]
        config = Config.from_dict({"cameras": cameras, **sections}, where=f"recording '{self.name}'")
        return config.model_copy(update={"cameras": self.cameras}) if self.stored else config

    @property
    def file(self) -> str | None:
        """What its only video is called, where that says more than the recording's name."""
        if len(self.cameras) != 1:
            return None
        uri = self.cameras[0].uri
        return file_name(self.name, uri.rpartition("/")[2] if self.stored else uri)


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


class RecordingRunner:
    """Runs recordings one at a time with one detector and one engine, which stay open for the next.

    Args:
        sections: Of the configuration, for all recordings.
        locate: Where detector and engine of a configuration lie on this machine; by default where it says.
    """

    def __init__(self, sections: dict[str, Any], *, locate: Callable[[Config], Config] = lambda config: config) -> None:
        self._sections = sections
        self._locate = locate
        self._pipeline: Pipeline | None = None
        self._stopped = False
        self._models: dict[str, tuple[Detector, Embedder]] = {}

    @property
    def frames(self) -> int:
        """Frames so far of the recording in work."""
        pipeline = self._pipeline
        return 0 if pipeline is None else pipeline.statistics.frames

    def stop(self) -> None:
        """Finish the recording in work with what it has; one that is begun later ends at once."""
        self._stopped = True
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.stop()

    def run(
        self,
        recording: Recording,
        folder: Path,
        *,
        mark: str | None = None,
        progress: Progress | None = None,
    ) -> RecordingResult:
        """Run one recording; a fault of it is told in the result.

        Args:
            recording: What to run.
            folder: Where its results go; those of an earlier run are replaced.
            mark: Its fingerprint, which is noted in the folder when it is done; by default computed here.
            progress: Called after every frame.

        Raises:
            ConfigError: Settings that do not fit together.
            OutputError: The folder cannot be written.
        """
        config = recording.config(self._sections)
        mark = fingerprint(config, recording.stored) if mark is None else mark
        copies = LocalCopies(config, {})
        try:
            with fetched(recording, config, lambda: self._stopped) as copies:
                summary = self._run(copies.config, folder, progress)
                result = _ended(recording, folder, mark, summary)
                copies.restore(folder / "summary.json")
        except Interrupted:
            return RecordingResult(recording.name, "interrupted", "while it was fetched", file=recording.file)
        except OutputError as error:
            if not isinstance(error, FolderBusy):
                raise
            return RecordingResult(recording.name, "failed", redact(error), file=recording.file)
        except StreamReIDError as error:
            reason = redact(copies.restored(str(error)))
            log.error("recording '%s' failed: %s", recording.name, reason)
            return RecordingResult(recording.name, "failed", reason, file=recording.file)
        finally:
            self._pipeline = None
        return replace(result, reason=redact(copies.restored(result.reason)))

    def _run(self, config: Config, folder: Path, progress: Progress | None) -> Summary:
        detector, embedder = self._open(self._locate(config))
        with Pipeline(config, detector=detector, embedder=embedder) as self._pipeline:
            if self._stopped:
                self._pipeline.stop()
            return run(self._pipeline, folder, progress=progress)

    def _open(self, config: Config) -> tuple[Detector, Embedder]:
        key = config.detector.model_dump_json() + config.engine.model_dump_json() + repr(box_files(config))
        if key not in self._models:
            self._models.clear()
            self._models[key] = (open_detectors(config), open_embedder(config.engine))
        return self._models[key]


def _ended(recording: Recording, folder: Path, mark: str, summary: Summary) -> RecordingResult:
    figures = {"frames": summary.frames, "identities": summary.identities, "seconds": round(summary.seconds, 2)}
    more: dict[str, Any] = {"confirmed": summary.confirmed, "unlinked_tracks": summary.unlinked_tracks}
    reasons = [f"{name}: {summary.cameras[name].error}" for name in summary.failed]
    reasons += [f"output '{name}': {why}" for name, why in summary.outputs_failed.items()]
    reason = "; ".join(reasons)
    status: Status = "interrupted" if summary.interrupted else "failed" if reasons else "done"
    if status == "done":
        write_json(folder / DONE, {"mark": mark, **figures, **more})
    result = RecordingResult(
        recording.name, status, reason, summary.frames, summary.identities, summary.seconds, **more
    )
    return replace(result, file=recording.file)


def fingerprint(config: Config, stored: Sequence[StoredFile] = ()) -> str:
    """Changes when a setting, a model's content, or a recording's size or date changes; not with where it is run.

    Args:
        config: Of the recording.
        stored: Its files on storage that is reached by an address.
    """
    files: list[list[Any]] = [[file.address, file.size, file.version] for file in stored]
    for camera in config.cameras:
        path = Path(camera.uri)
        if path.exists():
            stat = path.stat()
            files.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns])
    models = [detector_checksum(config.detector), engine_fingerprint(config.engine.model)]
    settings = config.model_dump(mode="json", exclude={"output": {"dir"}, "cluster": True})
    return hashlib.sha256(json.dumps([settings, files, models], sort_keys=True).encode()).hexdigest()


def finished(recording: Recording, folder: Path, mark: str) -> RecordingResult | None:
    """How a recording ended that was finished before in a folder; None if it was not, or is another one by its
    fingerprint."""
    try:
        data = (folder / DONE).read_bytes()
    except OSError:
        return None
    return read_finished(recording, data, mark) if (folder / "summary.json").exists() else None


def read_finished(recording: Recording, done: bytes | None, mark: str) -> RecordingResult | None:
    """The same from the content of its ``done.json``; None stands for no such file."""
    try:
        data = json.loads(done or b"")
    except ValueError:
        return None
    if not isinstance(data, dict) or data.get("mark") != mark:
        return None
    return RecordingResult(
        recording.name,
        "skipped",
        "finished before",
        data["frames"],
        data["identities"],
        data["seconds"],
        recording.file,
        data.get("confirmed", 0),
        data.get("unlinked_tracks", 0),
    )
