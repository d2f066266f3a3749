"""The part of a batch that runs in a worker process: one recording after the other, each into a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamreid.cluster.model_copies import ModelCopy, locate
from streamreid.config import Config
from streamreid.errors import OutputError
from streamreid.runs.batch import send_results
from streamreid.runs.recording import Recording, RecordingResult, RecordingRunner
from streamreid.runs.result_folder import DONE, ResultsFolder
from streamreid.runs.scratch import scratch_folder
from streamreid.runs.stored_recordings import StoredResults
from streamreid.runtimes.base import limit_threads
from streamreid.secrets import redact

__all__ = ["ATTEMPTS", "BatchWorker", "Job", "publish"]

ATTEMPTS = ".attempts"
"""Folder beside the results in which recordings are run. What a lost worker left there counts for nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers of a batch do alike.

    Args:
        out: The folder of the batch, absolute; or its address on storage.
        sections: Of the configuration, for all recordings.
        folder: Working folder of the command, for relative paths.
        threads: Threads of detector and engine.
    """

    out: Path | str
    sections: dict[str, Any]
    folder: Path
    threads: int


class BatchWorker:
    """Runs recordings in a worker process.

    Args:
        job: What all workers do alike.
        copies: Detectors and engines that may be missing on this machine.
    """

    def __init__(self, job: Job, copies: Sequence[ModelCopy] = ()) -> None:
        if job.folder.is_dir():
            os.chdir(job.folder)
        limit_threads(job.threads)
        self._job = job
        self._recording: str | None = None
        self._copies = {copy.model: copy for copy in copies}
        self._runner = RecordingRunner(job.sections, locate=self._locate)

    def place(self) -> tuple[str, int]:
        """Host name and process id."""
        return socket.gethostname(), os.getpid()

    def run(self, recording: Recording, mark: str, attempt: str) -> RecordingResult:
        """Run a recording into the folder of an attempt. What fails is told in the result, with the machine's name.

        Args:
            recording: Which.
            mark: Its fingerprint.
            attempt: Name of the folder, used once.
        """
        self._recording = recording.name
        try:
            result = self._run(recording, mark, f"{ATTEMPTS}/{attempt}")
        except OutputError as error:
            reason = f"on {socket.gethostname()}: {redact(error)}"
            return RecordingResult(recording.name, "failed", reason, file=recording.file)
        finally:
            self._recording = None
        if result.status == "failed" and not result.frames:
            return replace(result, reason=f"on {socket.gethostname()}: {result.reason}")
        return result

    def _run(self, recording: Recording, mark: str, attempt: str) -> RecordingResult:
        out = self._job.out
        if isinstance(out, Path):
            return self._runner.run(recording, out / attempt, mark=mark)
        with scratch_folder() as scratch:
            folder = scratch / recording.name
            result = self._runner.run(recording, folder, mark=mark)
            return send_results(StoredResults(out), folder, attempt, result)

    def status(self) -> dict[str, Any]:
        """How it is doing, as plain values: host, pid, recording in work and its frames so far."""
        host, pid = self.place()
        return {
            "kind": "batch",
            "host": host,
            "pid": pid,
            "recording": self._recording,
            "frames": self._runner.frames,
        }

    def stop(self) -> None:
        """Finish the recording in work with what it has."""
        self._runner.stop()

    def _locate(self, config: Config) -> Config:
        detector, engine = self._copies.get(config.detector.model), self._copies.get(config.engine.model)
        return locate(
            config, None if detector is None else detector.unpack(), None if engine is None else engine.unpack()
        )


def publish(out: Path | StoredResults, attempt: str, name: str) -> None:
    """Put the results of an attempt in the place of the recording's; an earlier run's stay until they are all there.

    Args:
        out: The folder of the batch.
        attempt: Name of the attempt's folder.
        name: Of the recording.

    Raises:
        FolderBusy: Another process writes to the recording's folder.
        OutputError: Something cannot be moved.
        SourceError: Storage that is reached by an address does not answer.
    """
    if isinstance(out, StoredResults):
        out.publish(f"{ATTEMPTS}/{attempt}", name)
        return
    source, target = out / ATTEMPTS / attempt, out / name
    if not source.is_dir():  # it failed before there was a result
        return
    with ResultsFolder(target, overwrite=True) as folder:
        folder.begin()
        try:
            # done.json last: where it is, everything is.
            for path in sorted(source.iterdir(), key=lambda p: p.name == DONE):
                os.replace(path, target / path.name)
        except OSError as error:
            raise OutputError(f"cannot move the results to '{target}': {error.strerror or error}") from error
        folder.commit()
    shutil.rmtree(source, ignore_errors=True)
