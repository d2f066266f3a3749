"""Who each track is, by ground truth."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from streamreid.evaluation.preprocessing import ious, matching
from streamreid.evaluation.table import Table

__all__ = ["name_tracks"]


def name_tracks(
    results: Table, truth: Table, *, least: float = 0.5, pure: float = 0.8, boxes: int = 3
) -> dict[int, int]:
    """The person that each track follows; tracks that follow nobody, or several, are left out.

    Boxes are matched in each frame as everywhere in this package (one to one, greatest total IoU).

    Args:
        results: Tracks of one camera.
        truth: Ground truth of the same camera; rows with score 0 name nobody.
        least: IoU of a match.
        pure: Share of a track's matched boxes that must be of one person.
        boxes: How many of them there must be.
    """
    if not len(results) or not len(truth):
        return {}
    first, last = int(truth.frames.min()), int(truth.frames.max())
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for own, true in zip(results.by_frame(first, last), truth.by_frame(first, last), strict=True):
        rows, columns = matching(ious(truth.boxes[true], results.boxes[own]), least)
        counted = truth.scores[true][rows] != 0
        for track, person in zip(
            results.ids[own][columns][counted].tolist(), truth.ids[true][rows][counted].tolist(), strict=True
        ):
            votes[track][person] += 1
    named = {}
    for track, found in sorted(votes.items()):
        person, count = found.most_common(1)[0]
        if count >= boxes and count >= pure * sum(found.values()):
            named[track] = int(np.int64(person))
    return named
