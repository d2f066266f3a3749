"""Lets what people said of a run afterwards count in who is who."""

from __future__ import annotations

from collections.abc import Sequence

from streamreid.corrections import Correction
from streamreid.sinks.result_reader import Beliefs

__all__ = ["apply_corrections"]


def apply_corrections(beliefs: Beliefs, corrections: Sequence[Correction]) -> None:
    """Let what people said afterwards count; what they said while the run went on is in its results."""
    by_number = {c.number: c for c in corrections}
    for said in corrections:
        if said.in_results:
            continue
        if said.kind == "undo":
            _take_back(beliefs, by_number[said.undoes])
        match said.kind:
            case "rename":
                beliefs.rename(said.global_id, said.name)
            case "staff":
                beliefs.tag_staff(said.global_id, said.staff)
            case "merge":
                beliefs.merge(said.global_id, said.other_id)
                beliefs.rename(said.global_id, said.name or said.before)
            case "split":
                beliefs.part(said.other_id, said.tracks, of=said.global_id)


def _take_back(beliefs: Beliefs, said: Correction) -> None:
    match said.kind:
        case "rename":
            beliefs.rename(said.global_id, said.before)
        case "staff":
            beliefs.tag_staff(said.global_id, not said.staff)
        case "merge":
            beliefs.part(said.other_id, said.tracks, of=said.global_id)
            beliefs.rename(said.global_id, said.name)
            beliefs.rename(said.other_id, said.before)
        case "split":
            beliefs.merge(said.global_id, said.other_id)
