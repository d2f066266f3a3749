"""What all machines of a batch must see: the recordings and the folder of the results."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamreid.cluster.batch_worker import ATTEMPTS
from streamreid.runs.recording import Recording
from streamreid.runs.storage import STORED
from streamreid.runs.stored_recordings import StoredResults

__all__ = ["probed_places"]

_PROBE = "streamreid looks whether all machines see this folder\n"


@contextmanager
def probed_places(out: Path | StoredResults, recordings: Sequence[Recording]) -> Iterator[dict[str, int]]:
    """Sizes of what machines are asked for, by path or address, as `check_reports` takes them. In the folder of the
    results there is a file for it meanwhile.

    Args:
        out: The folder of the results.
        recordings: That are to be run.

    Raises:
        OutputError: The folder of the results, on storage that is reached by an address, cannot be written.
    """
    sizes = {file.base: STORED for recording in recordings for file in recording.stored}
    for recording in recordings:
        sizes |= _sizes(recording)
    name = f".probe-{os.getpid()}-{time.time_ns()}"
    if isinstance(out, StoredResults):
        out.write(f"{ATTEMPTS}/{name}", _PROBE.encode())
        yield sizes | {f"{out.address}/{ATTEMPTS}/{name}": STORED}
        return  # the file goes with the folder
    file = out / ATTEMPTS / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_PROBE, encoding="utf-8")
    try:
        yield sizes | {str(file): file.stat().st_size}
    finally:
        file.unlink(missing_ok=True)


def _sizes(recording: Recording) -> dict[str, int]:
    """Bytes of the files of a recording, by path; -1 for a folder."""
    found = {}
    for camera in recording.cameras:
        path = Path(camera.uri)
        if path.exists():
            found[camera.uri] = -1 if path.is_dir() else path.stat().st_size
    return found
