#!/usr/bin/env bash
# TrackEval doesn't count a fragmentation while the whole frame has no output; a false box elsewhere makes it count.
#
# Versions: trackeval 1.3.0, motmetrics 1.4.0, pandas 3.0.6, scipy 1.17.1, numpy 2.4.6, Python 3.11.
#
# Behaviour: one person walks for 30 frames; the tracker loses them in frames 11-13 and finds them again with
# the same id: one fragmentation. py-motmetrics says Frag = 1. TrackEval says Frag = 0, because the loop of
# CLEAR.eval_sequence leaves a frame without tracker boxes before it notes that nobody was matched there. Add one
# false positive far away in the frames 11-13: the tracking of the person is the same, but now TrackEval says 1.
#
# Output seen:
#   output                              motmetrics  TrackEval
#   gap of 3 frames, nothing else                1          0
#   gap of 3 frames, a false box in it           1          1
#
# Why it matters: Frag is read as "how often a track breaks". On cameras with few people (corridors, doors,
# night) the gaps are frames without any output, so a tracker that loses its only person ten times shows
# Frag 0 in TrackEval, and it looks more stable than one that emits false boxes. Numbers of the two libraries
# can't be compared, and Frag of a crowded and of a quiet camera can't either.
#
# Source: TrackEval trackeval/metrics/clear.py, CLEAR.eval_sequence ("if len(tracker_ids_t) == 0: ... continue"
# stands before the update of prev_timestep_tracker_id); py-motmetrics
# motmetrics/metrics.py, num_fragmentations.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 pandas==3.0.6 xmltodict==1.0.4
venv/bin/pip install --quiet --disable-pip-version-check --no-deps trackeval==1.3.0 motmetrics==1.4.0
cat > check.py <<'PY'
import sys

import motmetrics as mm
import numpy as np
from trackeval.metrics import CLEAR

FRAMES, GAP = 30, (11, 12, 13)


def frame(number, false_box):
    """Ids of the truth, ids of the output and their IoU (truth x output) in one frame."""
    out, iou = [], []
    if number not in GAP:
        out, iou = [7], [1.0]
    elif false_box:
        out, iou = [8], [0.0]
    return [1], out, np.array(iou, float).reshape(1, len(out))


def with_motmetrics(frames):
    acc = mm.MOTAccumulator(auto_id=True)
    for truth, out, iou in frames:
        acc.update(truth, out, np.where(iou >= 0.5, 1 - iou, np.nan))
    return int(mm.metrics.create().compute(acc, metrics=["num_fragmentations"])["num_fragmentations"].iloc[0])


def dense(frames):
    """The same with ids counted from 0, as TrackEval expects."""
    ids = sorted({i for _, out, _ in frames for i in out})
    truth = [np.array([0]) for _ in frames]
    return truth, [np.array([ids.index(i) for i in out], int) for _, out, _ in frames], [iou for *_, iou in frames]


def with_trackeval(frames):
    truth, out, iou = dense(frames)
    data = {
        "num_timesteps": len(frames), "num_gt_ids": 1, "num_tracker_ids": int(np.concatenate(out).max()) + 1,
        "num_gt_dets": sum(map(len, truth)), "num_tracker_dets": sum(map(len, out)),
        "gt_ids": truth, "tracker_ids": out, "similarity_scores": iou,
    }
    return int(CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)["Frag"])


print("output                              motmetrics  TrackEval")
rows = {}
for name, false_box in (("gap of 3 frames, nothing else", False), ("gap of 3 frames, a false box in it", True)):
    frames = [frame(number, false_box) for number in range(1, FRAMES + 1)]
    rows[false_box] = with_motmetrics(frames), with_trackeval(frames)
    print(f"{name:<36}{rows[false_box][0]:>10}{rows[false_box][1]:>11}")
if rows != {False: (1, 0), True: (1, 1)}:
    sys.exit("changed: a gap no longer counts as a fragmentation only where a false box stands in it")
PY
venv/bin/python check.py
echo "the behaviour is still there"
