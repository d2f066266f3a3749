"""One recording of a batch: what it is, how it is run into its folder, and how it ended."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
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
from streamreid.secrets import redact

__all__ = ["Recording", "RecordingResult", "RecordingRunner", "fingerprint", "finished"]

log = logging.getLogger(__name__)

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

    def config(self, sections: dict[str, Any]) -> Config:
        """The configuration of its run.

        Args:
            sections: Those of the batch.

        Raises:
            ConfigError: They do not fit together.
        """
        sections = change_settings(sections, as_changes(self.settings))
        cameras = [c.model_dump() for c in self.cameras]
        return Config.from_dict({"cameras": cameras, **sections}, where=f"recording '{self.name}'")

    @property
    def file(self) -> str | None:
        """What its only video is called, where that says more than the recording's name."""
        return file_name(self.name, self.cameras[0].uri) if len(self.cameras) == 1 else None


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
        self, recording: Recording, folder: Path, *, mark: str | None = None, progress: Progress | None = None
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
        mark = fingerprint(config) if mark is None else mark
        try:
            detector, embedder = self._open(self._locate(config))
            with Pipeline(config, detector=detector, embedder=embedder) as self._pipeline:
                if self._stopped:
                    self._pipeline.stop()
                summary = run(self._pipeline, folder, progress=progress)
        except OutputError as error:
            if not isinstance(error, FolderBusy):
                raise
            return RecordingResult(recording.name, "failed", redact(error), file=recording.file)
        except StreamReIDError as error:
            log.error("recording '%s' failed: %s", recording.name, redact(error))
            return RecordingResult(recording.name, "failed", redact(error), file=recording.file)
        finally:
            self._pipeline = None
        return _ended(recording, folder, mark, summary)

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


def fingerprint(config: Config) -> str:
    """Changes when a setting, a model's content, or a recording's size or date changes; not with where it is run."""
    files = []
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
        data = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or data.get("mark") != mark or not (folder / "summary.json").exists():
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
