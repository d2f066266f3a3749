"""Across cameras: one sequence of (camera, frame) in which an id means the same person everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from streamreid.errors import DataError
from streamreid.evaluation.formats import match_cameras, read_tables, read_truth
from streamreid.evaluation.mot import frames_of
from streamreid.evaluation.preprocessing import ious, matching, prepare, remove_uncounted
from streamreid.evaluation.scores import MotScores, score
from streamreid.evaluation.table import Table
from streamreid.evaluation.timelines import Mixture, Timelines, mixtures, timelines
from streamreid.mot_text import Layout

__all__ = ["IdentityErrors", "Mixture", "MulticamEvaluation", "evaluate_multicam", "paired_tables"]


@dataclass(frozen=True, slots=True)
class IdentityErrors:
    """Who was confused with whom, counted over people instead of boxes.

    Boxes are matched in each frame (IoU .5, greatest total). A pair of person and id counts if it has at least a tenth
    of the matched boxes of the person (splits) or of the id (merges), so that a few boxes swapped in passing do not
    count.

    Args:
        merges: Ids that cover several people; each counts its people minus one.
        splits: People covered by several ids; each counts its ids minus one.
        merge_count: Sum over ``merges``.
        split_count: Sum over ``splits``.
        shared: People matched in more than one camera.
        linked: Of those, how many have the same most frequent id in all their cameras.
    """

    merges: tuple[Mixture, ...]
    splits: tuple[Mixture, ...]
    merge_count: int
    split_count: int
    shared: int
    linked: int


@dataclass(frozen=True, slots=True)
class MulticamEvaluation:
    """Scores over all cameras with ids across cameras.

    ``combined`` joins the cameras' frames one camera after the other; HOTA and the identity scores do not depend on
    that order, switches and fragmentations do (one more may be counted where a camera begins).

    Args:
        combined: All cameras as one sequence.
        cameras: Each camera alone, with the same ids.
        identities: Merges, splits and links.
        frames: First and last frame scored.
        removed: Result boxes that were neither right nor wrong, per camera.
        timelines: Who was covered by which id when, over all cameras.
    """

    combined: MotScores
    cameras: dict[str, MotScores]
    identities: IdentityErrors
    frames: tuple[int, int]
    removed: dict[str, int]
    timelines: Timelines = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""
        return {
            "frames": list(self.frames),
            "removed": self.removed,
            "combined": self.combined.as_dict(),
            "cameras": {name: s.as_dict() for name, s in self.cameras.items()},
            "identities": asdict(self.identities),
        }


def _load(results: Any, truth: Any, layout: Layout | None) -> tuple[Mapping[str, Table], Mapping[str, Table]]:
    own = results if isinstance(results, Mapping) else read_tables(results, ids="global", layout=layout)
    if not isinstance(truth, Mapping):
        truth = match_cameras(read_truth([truth] if isinstance(truth, str | Path) else truth, layout=layout), own)
    missing = sorted(set(truth) - set(own))
    if missing or not truth:
        raise DataError(
            f"no results for camera {', '.join(missing) or '(none given)'}; the results have "
            f"{', '.join(sorted(own)) or 'nothing'}"
        )
    return own, truth


def evaluate_multicam(
    results: Mapping[str, Table] | Path | str,
    truth: Mapping[str, Table] | Path | str | Sequence[Path | str],
    *,
    frames: tuple[int, int] | None = None,
    partial: Collection[str] = (),
    layout: Layout | None = None,
) -> MulticamEvaluation:
    """Score ids across cameras. Cameras without ground truth are not scored.

    Args:
        results: Tables by camera, or a path as ``read_tables`` takes it (global ids).
        truth: Tables by camera, or files; ids must mean the same person in all cameras. Rows with score 0 are neither
            right nor wrong.
        frames: First and last frame to score, both included; default: what the longest ground truth covers.
        partial: Cameras in which not everybody is annotated: results there that match no annotated person are removed
            before scoring (see ``remove_uncounted`` for exactly what that does).
        layout: What text files are; default: recognised by their values (`mot_text.layout_of`).

    Raises:
        DataError: A file is malformed, or cameras do not fit.
        MissingExtraError: TrackEval is not installed.
    """
    pairs, span, removed = _paired(results, truth, frames, partial, layout)
    together = prepare(list(pairs.values()), span, name="all cameras")
    return MulticamEvaluation(
        combined=score(together),
        cameras={camera: score(prepare([pair], span, name=camera)) for camera, pair in pairs.items()},
        identities=_identity_errors(pairs, span),
        frames=span,
        removed=removed,
        timelines=timelines(together, list(pairs), span),
    )


def paired_tables(
    results: Mapping[str, Table] | Path | str,
    truth: Mapping[str, Table] | Path | str | Sequence[Path | str],
    *,
    frames: tuple[int, int] | None = None,
    partial: Collection[str] = (),
    layout: Layout | None = None,
) -> tuple[dict[str, tuple[Table, Table]], tuple[int, int]]:
    """Results that are counted and ground truth of each camera, and the first and last frame; see
    `evaluate_multicam`."""
    return _paired(results, truth, frames, partial, layout)[:2]


def _paired(
    results: Any, truth: Any, frames: tuple[int, int] | None, partial: Collection[str], layout: Layout | None
) -> tuple[dict[str, tuple[Table, Table]], tuple[int, int], dict[str, int]]:
    own, true = _load(results, truth, layout)
    unknown = sorted(set(partial) - set(true))
    if unknown:
        raise DataError(f"partially annotated camera {', '.join(unknown)} is not one of {', '.join(sorted(true))}")
    spans = [frames_of(table) for table in true.values()] if frames is None else [frames]
    span = min(a for a, _ in spans), max(b for _, b in spans)
    pairs: dict[str, tuple[Table, Table]] = {}
    removed: dict[str, int] = {}
    for camera in sorted(true):
        inside = own[camera].between(*span)
        pairs[camera] = remove_uncounted(inside, true[camera].between(*span), span, unmatched=camera in partial)
        removed[camera] = len(inside) - len(pairs[camera][0])
    return pairs, span, removed


def _identity_errors(pairs: Mapping[str, tuple[Table, Table]], span: tuple[int, int]) -> IdentityErrors:
    counts: Counter[tuple[int, int]] = Counter()
    in_camera: dict[int, dict[str, Counter[int]]] = {}
    for camera, (results, truth) in pairs.items():
        for own, true in zip(results.by_frame(*span), truth.by_frame(*span), strict=True):
            rows, columns = matching(ious(truth.boxes[true], results.boxes[own]))
            for person, who in zip(truth.ids[true][rows].tolist(), results.ids[own][columns].tolist(), strict=True):
                counts[person, who] += 1
                in_camera.setdefault(person, {}).setdefault(camera, Counter())[who] += 1
    splits = mixtures(counts)
    merges = mixtures(Counter({(who, person): n for (person, who), n in counts.items()}))
    several = [list(cameras.values()) for cameras in in_camera.values() if len(cameras) > 1]
    return IdentityErrors(
        merges=merges,
        splits=splits,
        merge_count=sum(len(m.parts) - 1 for m in merges),
        split_count=sum(len(m.parts) - 1 for m in splits),
        shared=len(several),
        linked=sum(len({max(sorted(c), key=c.__getitem__) for c in cameras}) == 1 for cameras in several),
    )
