"""Which boxes count: from two tables to what the metrics take.

``plain``
    Boxes as they are. Ground truth rows with score 0 are not counted, and a result that matches one is not counted
    either.
``mot15``
    TrackEval's MOT15: ground truth rows with score 0 are dropped (a result on such a person is a false positive).
``mot16 mot17 mot20``
    TrackEval's rules with classes in column 8: results that match a distractor class are removed, only pedestrians
    with score 1 count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import DataError
from streamreid.evaluation.scores import Prepared, trackeval
from streamreid.evaluation.table import Table

__all__ = ["RULES", "Rules", "ious", "matching", "prepare", "remove_uncounted"]

Rules = Literal["plain", "mot15", "mot16", "mot17", "mot20"]
_CLASSES = (
    *("pedestrian", "person_on_vehicle", "car", "bicycle", "motorbike", "non_mot_vehicle", "static_person"),
    *("distractor", "occluder", "occluder_on_ground", "occluder_full", "reflection", "crowd"),
)
RULES: tuple[Rules, ...] = get_args(Rules)


def ious(truth: NDArray[np.float64], results: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union ``[T, R]`` of left, top, width, height boxes, as TrackEval computes it."""
    matrix: NDArray[np.float64] = trackeval().datasets.MotChallenge2DBox._calculate_box_ious(
        truth, results, box_format="xywh"
    )
    return matrix


def matching(similarity: NDArray[np.float64], least: float = 0.5) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The one-to-one matching of greatest total similarity among pairs of at least ``least``: rows and columns."""
    from scipy.optimize import linear_sum_assignment

    allowed = np.where(similarity >= least - np.finfo(float).eps, similarity, 0.0)
    rows, columns = linear_sum_assignment(-allowed)
    real = allowed[rows, columns] > 0
    return rows[real], columns[real]


def remove_uncounted(
    results: Table, truth: Table, frames: tuple[int, int], *, unmatched: bool = False
) -> tuple[Table, Table]:
    """Take out what is neither right nor wrong.

    In each frame results and ground truth (rows with score 0 included) are matched one to one so that total IoU is
    greatest among pairs of IoU .5 and more. Results matched to a row with score 0 are removed. With ``unmatched``,
    results that are matched to nothing are removed as well: for cameras in which not everybody is annotated. A person
    who is annotated but badly located (IoU below .5) then costs a miss but no false positive. Finally the ground truth
    rows with score 0 are removed.

    Args:
        results: Boxes to be scored.
        truth: Ground truth.
        frames: First and last frame, both included.
        unmatched: Also remove results without a ground truth box.

    Returns:
        Results and ground truth that count.
    """
    keep = np.ones(len(results), bool)
    steps = zip(results.by_frame(*frames), truth.by_frame(*frames), strict=True)
    for own, true in steps:
        similarity = ious(truth.boxes[true], results.boxes[own])
        rows, columns = matching(similarity)
        status = np.full(own.stop - own.start, not unmatched)
        status[columns] = truth.scores[true][rows] != 0
        keep[own] = status
    return results[keep], truth[truth.scores != 0]


def _dataset(rules: Rules) -> Any:
    """TrackEval's own preprocessing without its folders: the constructor only looks for files."""
    kind = trackeval().datasets.MotChallenge2DBox
    dataset = kind.__new__(kind)
    dataset.benchmark = "MOT15" if rules == "plain" else rules.upper()
    dataset.do_preproc = rules not in ("plain", "mot15")
    dataset.class_name_to_class_id = {name: number for number, name in enumerate(_CLASSES, 1)}
    dataset.valid_class_numbers = list(dataset.class_name_to_class_id.values())
    return dataset


def _check_classes(truth: Table, rules: Rules) -> None:
    if rules in ("plain", "mot15"):
        return
    bad = np.flatnonzero(~np.isin(truth.classes, np.arange(1, 14)))
    if len(bad):
        row = bad[0]
        place = f"{truth.where}: frame {truth.frames[row]}, id {truth.ids[row]}"
        advice = "use --rules plain or mot15 for ground truth without classes"
        raise DataError(f"{place}: class {truth.classes[row]:g} in column 8 is not one of MOT's 1 to 13; {advice}")


def prepare(
    pairs: Sequence[tuple[Table, Table]], frames: tuple[int, int], rules: Rules = "plain", *, name: str = ""
) -> Prepared:
    """Join pairs of (results, ground truth) to one sequence for the metrics.

    Several pairs are several cameras: their frames follow each other, and an id means the same person in all of them.

    Args:
        pairs: Per camera.
        frames: First and last frame, both included; rows outside are left out.
        rules: Which boxes count.
        name: For messages.

    Raises:
        DataError: Classes do not suit the rules.
    """
    raw: dict[str, Any] = {
        key: [] for key in ("gt_ids", "gt_dets", "gt_classes", "gt_extras", "tracker_ids", "tracker_dets")
    }
    raw |= {key: [] for key in ("tracker_classes", "tracker_confidences", "similarity_scores")}
    for results, truth in pairs:
        results, truth = results.between(*frames), truth.between(*frames)
        _check_classes(truth, rules)
        if rules == "plain":
            results, truth = remove_uncounted(results, truth, frames) if (truth.scores == 0).any() else (results, truth)
        for own, true in zip(results.by_frame(*frames), truth.by_frame(*frames), strict=True):
            raw["gt_ids"].append(truth.ids[true])
            # TrackEval renumbers ids; only boxes come through as they are, so the files' own ids travel behind them for
            # the timelines.
            raw["gt_dets"].append(np.column_stack([truth.boxes[true], truth.ids[true]]))
            raw["gt_classes"].append(truth.classes[true].astype(np.int64))
            raw["gt_extras"].append({"zero_marked": truth.scores[true]})
            raw["tracker_ids"].append(results.ids[own])
            raw["tracker_dets"].append(np.column_stack([results.boxes[own], results.ids[own]]))
            raw["tracker_classes"].append(np.ones(own.stop - own.start, np.int64))
            raw["tracker_confidences"].append(results.scores[own])
            raw["similarity_scores"].append(ious(truth.boxes[true], results.boxes[own]))
    raw["num_timesteps"], raw["seq"] = len(raw["gt_ids"]), name
    # TrackEval looks ids up in an array as long as the largest id, so they are numbered first.
    for key in ("gt_ids", "tracker_ids"):
        known = np.unique(np.concatenate([*raw[key], np.zeros(0, np.int64)]))
        raw[key] = [np.searchsorted(known, ids) for ids in raw[key]]
    data: Prepared = _dataset(rules).get_preprocessed_seq_data(raw, "pedestrian")
    return data
