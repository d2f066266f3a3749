"""Scores of tracks against ground truth, computed by TrackEval (extra ``eval``).

HOTA: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021; averaged over
localisation thresholds .05 to .95. CLEAR MOT: Bernardin and Stiefelhagen, 2008. Identity (IDF1): Ristani et al., 2016;
the last two at IoU .5.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from streamreid.errors import MissingExtraError

__all__ = ["MotScores", "Prepared", "combine", "score", "trackeval"]

Prepared = dict[str, Any]
"""One sequence as TrackEval's metrics take it: per step the ids (from 0, without holes) and the similarity matrix, and
the counts."""


def trackeval() -> Any:
    """TrackEval, imported when it is needed.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import trackeval as package
    except ImportError as error:
        raise MissingExtraError("trackeval", "eval", "Scoring tracks") from error
    return package


@dataclass(frozen=True, slots=True)
class MotScores:
    """Scores of one sequence, or of all together.

    Args:
        hota: Higher order tracking accuracy, with its parts: ``deta`` (detection), ``assa`` (association), ``loca``
            (localisation).
        mota: CLEAR accuracy 1 - (FN + FP + IDSW) / truth; may be negative.
        motp: Mean IoU of the matches.
        idf1: Identity F1, with precision ``idp`` and recall ``idr``.
        idsw: Identity switches.
        frag: Fragmentations.
        fp: Boxes too many.
        fn: Boxes missed.
        truth_boxes: Boxes of the ground truth that count.
        result_boxes: Boxes of the results that count.
        truth_ids: People in the ground truth.
        result_ids: Ids in the results.
        steps: Frames (or pairs of camera and frame).
    """

    hota: float
    deta: float
    assa: float
    loca: float
    mota: float
    motp: float
    idf1: float
    idp: float
    idr: float
    idsw: int
    frag: int
    fp: int
    fn: int
    truth_boxes: int
    result_boxes: int
    truth_ids: int
    result_ids: int
    steps: int
    _raw: dict[str, dict[str, Any]] = field(repr=False, compare=False, default_factory=dict)

    def as_dict(self) -> dict[str, float]:
        """Names and values, for JSON."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


def _metrics() -> dict[str, Any]:
    package = trackeval()
    quiet = {"THRESHOLD": 0.5, "PRINT_CONFIG": False}
    return {
        "hota": package.metrics.HOTA(),
        "clear": package.metrics.CLEAR(dict(quiet)),
        "identity": package.metrics.Identity(dict(quiet)),
    }


def _collect(raw: dict[str, dict[str, Any]], counts: Mapping[str, int]) -> MotScores:
    hota, clear, identity = raw["hota"], raw["clear"], raw["identity"]

    def mean(name: str) -> float:
        return float(np.mean(hota[name]))

    return MotScores(
        hota=mean("HOTA"),
        deta=mean("DetA"),
        assa=mean("AssA"),
        loca=mean("LocA"),
        mota=float(clear["MOTA"]),
        motp=float(clear["MOTP"]),
        idf1=float(identity["IDF1"]),
        idp=float(identity["IDP"]),
        idr=float(identity["IDR"]),
        idsw=int(clear["IDSW"]),
        frag=int(clear["Frag"]),
        fp=int(clear["CLR_FP"]),
        fn=int(clear["CLR_FN"]),
        **counts,
        _raw=raw,
    )


def score(data: Prepared) -> MotScores:
    """Score one prepared sequence.

    Raises:
        MissingExtraError: TrackEval is not installed.
    """
    raw = {name: metric.eval_sequence(data) for name, metric in _metrics().items()}
    counts = {
        "truth_boxes": data["num_gt_dets"],
        "result_boxes": data["num_tracker_dets"],
        "truth_ids": data["num_gt_ids"],
        "result_ids": data["num_tracker_ids"],
        "steps": data["num_timesteps"],
    }
    return _collect(raw, counts)


def combine(scores: Mapping[str, MotScores]) -> MotScores:
    """All sequences together, as TrackEval combines them: counts are added and the scores computed from the sums."""
    raw = {
        name: metric.combine_sequences({key: s._raw[name] for key, s in scores.items()})
        for name, metric in _metrics().items()
    }
    names = ("truth_boxes", "result_boxes", "truth_ids", "result_ids", "steps")
    return _collect(raw, {name: sum(getattr(s, name) for s in scores.values()) for name in names})
