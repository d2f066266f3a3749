"""MOTChallenge text: the format that evaluation tools, viewers and labelling tools read.

One line per person and frame: ``frame,id,left,top,width,height,score,x,y,z``; frames count from 1 (``Frame.index +
1``), boxes are in pixels. x, y and z say where the person stands in metres (z is 0, the ground), as in MOTChallenge 3D;
-1,-1,-1 where that is not known, as in cameras without calibration.

    <folder>/<camera>.txt          ids of the tracks inside the camera
    <folder>/global/<camera>.txt   ids of the people across cameras

During the run the global files hold what was believed when each frame was handed out (people without an identity yet
are left out); when the run ends they are replaced by what is believed then, unless they have become so long (64 MiB)
that stopping would take long. A person has one box in a frame of them: where one track was carried on while another of
the same person began, the box that was detected.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamreid.sinks.base import FinalIdentities, LineFile, SinkContext, atomic_text, write_failed
from streamreid.sinks.result_block import BlockColumns, ResultBlock
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["MotSink"]

_UNKNOWN = "-1,-1,-1"
_log = logging.getLogger(__name__)
_LONGEST = 64 * 2**20
"""Bytes of text that are written anew in about two seconds."""


def _lines(results: Sequence[FrameResult]) -> tuple[str, str]:
    """The lines of the people of some frames, with the ids of their tracks, and with those of identities that are
    known."""
    columns = BlockColumns.of(results)
    frames = [result.frame.index + 1 for result in results for _ in range(len(result.tracks))]
    places = [_UNKNOWN if at is None else f"{at[0]:.3f},{at[1]:.3f},0" for at in columns.world]
    rests = [
        f"{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.2f},{place}\n"
        for (x, y, w, h), score, place in zip(columns.boxes.tolist(), columns.scores.tolist(), places, strict=True)
    ]

    def numbered(ids: list[int]) -> str:
        return "".join([f"{frame},{i},{rest}" for frame, i, rest in zip(frames, ids, rests, strict=True) if i])

    return numbered(columns.ids), numbered(columns.who)


class _Believed:
    """Reads a global file beside its local one: who each line was believed to be when it was written."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._next = self._read()

    def _read(self) -> tuple[str, int, str] | None:
        line = next(self._lines, None)
        if line is None:
            return None
        frame, who, rest = line.split(",", 2)
        return frame, int(who), rest

    def at(self, frame: str, rest: str) -> int:
        """The identity in the line of a frame and box, 0 if it has none; lines must be asked for in order."""
        if self._next is None or (self._next[0], self._next[2]) != (frame, rest):
            return 0
        who, self._next = self._next[1], self._read()
        return who


class _People:
    """The lines of one frame, one for each person: of two the one with the higher score."""

    def __init__(self) -> None:
        self._rests: dict[int, str] = {}

    def add(self, who: int, rest: str) -> None:
        """Take a line's end, from the box on."""
        there = self._rests.get(who)
        if there is None or self._score(rest) > self._score(there):
            self._rests[who] = rest

    def lines(self, frame: str) -> str:
        """The frame's lines, which are forgotten."""
        text = "".join([f"{frame},{who},{rest}" for who, rest in self._rests.items()])
        self._rests.clear()
        return text

    @staticmethod
    def _score(rest: str) -> float:
        return float(rest.split(",", 5)[4])


class MotSink(SinkContext):
    """Writes MOTChallenge text per camera, with local and with global ids.

    Args:
        folder: Where the files go.
        cameras: Cameras whose (perhaps empty) files are made at once; others are added when they appear.
        append: Go on behind an earlier run; otherwise the files are replaced.
        block_seconds: How long people may wait to be written together with others; 0 writes each frame at once.

    Attributes:
        without_identity: After ``close``, how many lines had a track without a final identity and are therefore missing
            in the global
        files.
    """

    output = "mot"

    def __init__(
        self,
        folder: Path | str,
        cameras: list[str] | None = None,
        *,
        append: bool = False,
        block_seconds: float = 0.0,
    ) -> None:
        self.folder = Path(folder)
        self._append = append
        self.without_identity = 0
        self._files: dict[str, tuple[LineFile, LineFile]] = {}
        self._blocks: dict[str, ResultBlock] = {}
        self._seconds = block_seconds
        self._closed = self._settled = False
        for camera in cameras or []:
            self._open(camera)

    def _open(self, camera: str) -> None:
        local = LineFile(self.folder / f"{camera}.txt", append=self._append)
        self._files[camera] = (local, LineFile(self.folder / "global" / f"{camera}.txt", append=self._append))
        self._blocks[camera] = ResultBlock(self._seconds)

    def write(self, result: FrameResult) -> None:
        """Append one line per person of a frame."""
        camera = result.frame.camera
        if camera not in self._files:
            self._open(camera)
        if self._blocks[camera].add(result):
            self._write_block(camera)

    def _write_block(self, camera: str) -> None:
        if len(self._blocks[camera]):
            local, known = self._files[camera]
            of_tracks, of_identities = _lines(self._blocks[camera].take())
            local.write(of_tracks)
            if of_identities:
                known.write(of_identities)

    def event(self, event: IdentityEvent) -> None:
        """Nothing to do: the final identities hold all revisions."""

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """From now on some tracks keep the identity with which they were written."""
        self._settled = True

    def close(self, identities: FinalIdentities) -> None:
        """Close the files and write the global ones anew with the final identities."""
        if self._closed:
            return
        self.abort()
        if sum(local.size for local, _ in self._files.values()) <= _LONGEST:
            for camera in self._files:
                self._rewrite(camera, identities)
        if self.without_identity:
            _log.warning(
                "%d lines have no final identity and are missing in '%s'", self.without_identity, self.folder / "global"
            )

    def _rewrite(self, camera: str, identities: FinalIdentities) -> None:
        source, target = self.folder / f"{camera}.txt", self.folder / "global" / f"{camera}.txt"
        local, known = self._files[camera]
        try:
            with (
                atomic_text(target) as out,
                open(source, encoding="utf-8", newline="\n") as lines,
                open(target, encoding="utf-8", newline="\n") as earlier,
            ):
                out.write(earlier.read(known.begun))
                lines.seek(local.begun)
                believed, people, now = _Believed(earlier), _People(), ""
                for line in lines:
                    frame, track, rest = line.split(",", 2)
                    if frame != now:
                        out.write(people.lines(now))
                        now = frame
                    before = believed.at(frame, rest)
                    who, _ = identities.get((camera, int(track)), (before if self._settled else 0, 0.0))
                    if who == 0:
                        self.without_identity += 1
                    else:
                        people.add(who, rest)
                out.write(people.lines(now))
        except OSError as error:
            raise write_failed(source, error) from error

    def abort(self) -> None:
        """Close the files as they are."""
        self._closed = True
        try:
            for camera in self._files:
                self._write_block(camera)
        finally:
            for pair in self._files.values():
                for file in pair:
                    file.close()
