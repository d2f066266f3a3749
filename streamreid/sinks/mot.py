"""MOTChallenge text: the format that evaluation tools, viewers and labelling tools read.

One line per person and frame: ``frame,id,left,top,width,height,score,-1,-1,-1``; frames count from 1 (``Frame.index + 1``), boxes are in
pixels.

    <folder>/<camera>.txt          ids of the tracks inside the camera
    <folder>/global/<camera>.txt   ids of the people across cameras

During the run the global files hold what was believed when each frame was handed out (people without an identity yet are left out); when
the run ends they are replaced by what is believed then.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from streamreid.sinks.base import FinalIdentities, LineFile, SinkContext, atomic_text, ltwh, write_failed
from streamreid.types import FrameResult, IdentityEvent, IntArray

__all__ = ["MotSink", "mot_lines"]

_log = logging.getLogger(__name__)


def mot_lines(result: FrameResult, ids: IntArray) -> str:
    """The lines of one frame.

    Args:
        result: The frame and its people.
        ids: ``[N]`` the id to write for each; people with id 0 are left out.
    """
    frame = result.frame.index + 1
    boxes = ltwh(result.tracks.boxes).tolist()
    scores = result.tracks.scores.tolist()
    return "".join(
        f"{frame},{i},{left:.2f},{top:.2f},{width:.2f},{height:.2f},{score:.2f},-1,-1,-1\n"
        for i, (left, top, width, height), score in zip(ids.tolist(), boxes, scores, strict=True)
        if i
    )


class MotSink(SinkContext):
    """Writes MOTChallenge text per camera, with local and with global ids.

    Args:
        folder: Where the files go.
        cameras: Cameras whose (perhaps empty) files are made at once; others are added when they appear.

    Attributes:
        without_identity: After ``close``, how many lines had a track without a final identity and are therefore missing in the global
        files.
    """

    def __init__(self, folder: Path | str, cameras: list[str] | None = None) -> None:
        self.folder = Path(folder)
        self.without_identity = 0
        self._files: dict[str, tuple[LineFile, LineFile]] = {}
        self._closed = False
        for camera in cameras or []:
            self._open(camera)

    def _open(self, camera: str) -> tuple[LineFile, LineFile]:
        local = LineFile(self.folder / f"{camera}.txt")
        self._files[camera] = (local, LineFile(self.folder / "global" / f"{camera}.txt"))
        return self._files[camera]

    def write(self, result: FrameResult) -> None:
        """Append one frame's people."""
        local, known = self._files.get(result.frame.camera) or self._open(result.frame.camera)
        if len(result.tracks):
            local.write(mot_lines(result, result.tracks.ids))
            if np.any(result.global_ids):
                known.write(mot_lines(result, result.global_ids))

    def event(self, event: IdentityEvent) -> None:
        """Nothing to do: the final identities hold all revisions."""

    def close(self, identities: FinalIdentities) -> None:
        """Close the files and write the global ones anew with the final identities."""
        if self._closed:
            return
        self.abort()
        for camera in self._files:
            self._rewrite(camera, identities)
        if self.without_identity:
            _log.warning("%d lines have no final identity and are missing in '%s'", self.without_identity, self.folder / "global")

    def _rewrite(self, camera: str, identities: FinalIdentities) -> None:
        source = self.folder / f"{camera}.txt"
        try:
            with atomic_text(self.folder / "global" / f"{camera}.txt") as out, open(source, encoding="utf-8") as lines:
                for line in lines:
                    frame, track, rest = line.split(",", 2)
                    found = identities.get((camera, int(track)))
                    if found is None or found[0] == 0:
                        self.without_identity += 1
                    else:
                        out.write(f"{frame},{found[0]},{rest}")
        except OSError as error:
            raise write_failed(source, error) from error

    def abort(self) -> None:
        """Close the files as they are."""
        self._closed = True
        for pair in self._files.values():
            for file in pair:
                file.close()
