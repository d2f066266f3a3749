"""Corrections of a run that is over, or of a gallery, made on its page: other pages that show it are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from streamreid.corrections import Correction, Forgotten
from streamreid.runs.finished_run import FinishedRun
from streamreid.runs.review import AnswerTaker
from streamreid.types import TrackKey

__all__ = ["ViewedCorrections"]


class ViewedCorrections:
    """Corrections that tell what changed. See `streamreid.corrections.Corrections`.

    Args:
        corrections: Of the run, or of the gallery.
        read: Gives the run, or what the gallery knows, as it is corrected now.
        folder: Of its results.
        changed: Called with that, and the event to tell.
    """

    def __init__(
        self,
        corrections: AnswerTaker,
        read: Callable[[], FinishedRun],
        folder: Path,
        changed: Callable[[FinishedRun, dict[str, Any]], None],
    ) -> None:
        self.made = corrections
        self._read = read
        self.folder = folder
        self._changed = changed

    @property
    def run(self) -> FinishedRun:
        """The run as it is corrected now."""
        return self._read()

    def rename(self, global_id: int, name: str, *, actor: str = "") -> Correction:
        """Give a name."""
        return self._told(self.made.rename(global_id, name, actor=actor))

    def tag_staff(self, global_id: int, staff: bool = True, *, actor: str = "") -> Correction:
        """Say that somebody works there, or take it back."""
        return self._told(self.made.tag_staff(global_id, staff, actor=actor))

    def merge(self, keep: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are one person."""
        return self._told(self.made.merge(keep, other, actor=actor))

    def split(
        self, global_id: int, *, at: float | None = None, tracks: Iterable[TrackKey] = (), actor: str = ""
    ) -> Correction:
        """Say that tracks of an identity are somebody else."""
        return self._told(self.made.split(global_id, at=at, tracks=tracks, actor=actor))

    def separate(self, one: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are different people."""
        return self._told(self.made.separate(one, other, actor=actor))

    def say(self, one: TrackKey, other: TrackKey, *, same: bool | None, actor: str = "") -> Correction:
        """Say that two tracks are one person, or two, or that nobody can tell."""
        return self._told(self.made.say(one, other, same=same, actor=actor))

    def forget(self, global_id: int, *, actor: str = "") -> Forgotten:
        """Erase every trace of a person."""
        proof = self.made.forget(global_id, actor=actor)
        self._told(proof.correction)
        return proof

    def undo(self, number: int | None = None, *, actor: str = "") -> Correction:
        """Take back a correction."""
        return self._told(self.made.undo(number, actor=actor))

    def history(self) -> list[Correction]:
        """All corrections, the oldest first."""
        return self.made.history()

    def _told(self, said: Correction) -> Correction:
        event = {
            "kind": "expire" if said.kind == "forget" else said.kind,
            "time": said.time,
            "global_id": said.global_id or None,
            "other_id": said.other_id or None,
            "name": said.name or None,
            "camera": None,
            "track_id": None,
            "probability": 1.0,
        }
        self._changed(self._read(), event)
        return said
