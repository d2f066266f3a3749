"""Do people keep their ids over a restart? The first half of a recording, stop, the second half in a new process with
the same gallery.

    python benchmarks/gallery_restart.py --camera cam=clip.avi=truth.txt [--camera ...] --frames 1:400 --rate 10
    --detector yolo11n.onnx
        [--engine auto] [--partial cam] [--cache FOLDER]

With ``--cache`` (of `streamreid run --cache` on the same videos) detections and features are read from there, which
gives the same results sooner.

Printed: IDF1 of the whole recording without a restart, with one and a gallery, and with one and no gallery; and the
identity accuracy over the restart: of the people who are matched before and after it, how many have the same most
frequent global id in both halves. People who left for good and newcomers count for the IDF1 only. Nothing is fitted to
the recording. A restart also loses what tracking knows: everybody begins a new track.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from _results import add_json, save_asked

from streamreid import Pipeline
from streamreid.cache.reader import read_frames
from streamreid.config import Config
from streamreid.evaluation import Table, evaluate_multicam, read_truth
from streamreid.evaluation.preprocessing import ious, matching
from streamreid.pipeline import Run
from streamreid.replay import Replay
from streamreid.replay.replay import replayed_config

Rows = dict[str, list[list[float]]]


def follow(job: dict) -> Rows:
    """Rows (frame, global id, left, top, width, height) of a part of the recording; ids as believed at its end."""
    first, last = job["frames"]
    cameras = [
        {"name": n, "uri": uri, "start": (first - 1) / job["rate"], "frames": last - first + 1}
        for n, uri in job["cameras"].items()
    ]
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    if job["cache"]:
        config = replayed_config(job["cache"])
        config = config.model_copy(update={"gallery": config.gallery.model_copy(update={"store": job["gallery"]})})
        following: Run = Replay(
            job["cache"],
            config,
            frames=[s for s in read_frames(Path(job["cache"])) if first <= s.frame.index + 1 <= last],
        )
    else:
        sections = {
            "detector": {"model": job["detector"]},
            "engine": {"model": job["engine"]},
            "gallery": {"store": job["gallery"]},
        }
        following = Pipeline(Config.from_dict({"cameras": cameras, **sections}))
    with following as pipeline:
        for result in pipeline:
            frame = result.frame.index + 1
            for track, (x0, y0, x1, y1) in zip(result.tracks.ids.tolist(), result.tracks.boxes.tolist(), strict=True):
                boxes[result.frame.camera].append([frame, track, x0, y0, x1 - x0, y1 - y0])
        ids = {key: who for key, (who, _) in pipeline.identities.items()}
    return {c: [[f, ids[c, int(t)], *box] for f, t, *box in rows if ids.get((c, int(t)))] for c, rows in boxes.items()}


def in_new_process(job: dict) -> Rows:
    """The same in a process of its own, as after a restart."""
    done = subprocess.run([sys.executable, __file__, "--job", json.dumps(job)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def table(rows: list[list[float]], name: str) -> Table:
    """One camera's rows; of two boxes of one identity in a frame the first stays."""
    unique = {(r[0], r[1]): r for r in reversed(rows)}
    a = np.array(sorted(unique.values()), float).reshape(-1, 6)
    return Table.build(a[:, 0].astype(int), a[:, 1].astype(int), a[:, 2:], where=name)


def owners(results: dict[str, Table], truth: dict[str, Table], frames: range) -> dict[int, int]:
    """Most frequent global id of each true person in some frames of all cameras."""
    seen: dict[int, Counter[int]] = defaultdict(Counter)
    for name, found in results.items():
        for frame in frames:
            t, r = truth[name].frames == frame, found.frames == frame
            if not t.any() or not r.any():
                continue
            for i, j in zip(*matching(ious(truth[name].boxes[t], found.boxes[r]), 0.5), strict=True):
                seen[int(truth[name].ids[t][i])][int(found.ids[r][j])] += 1
    return {person: ids.most_common(1)[0][0] for person, ids in seen.items() if sum(ids.values()) >= 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camera", action="append", help="NAME=VIDEO=TRUTH")
    parser.add_argument("--detector")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--frames", help="FIRST:LAST")
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second of the files")
    parser.add_argument("--partial", action="append", default=[])
    parser.add_argument("--cache")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    add_json(parser, "gallery_restart")
    args = parser.parse_args()
    if args.job:
        print(json.dumps(follow(json.loads(args.job))))
        return
    parts = [c.split("=") for c in args.camera]
    truth = read_truth([f"{name}={file}" for name, _, file in parts])
    first, last = map(int, args.frames.split(":"))
    middle = (first + last) // 2
    base = {
        "cameras": {n: v for n, v, _ in parts},
        "detector": args.detector,
        "engine": args.engine,
        "rate": args.rate,
        "cache": args.cache,
    }
    with tempfile.TemporaryDirectory() as folder:
        runs = {"no restart": [in_new_process({**base, "frames": (first, last), "gallery": None})]}
        for name, gallery in (("restart, gallery", str(Path(folder) / "people.db")), ("restart, no gallery", None)):
            halves = [(first, middle), (middle + 1, last)]
            runs[name] = [in_new_process({**base, "frames": half, "gallery": gallery}) for half in halves]
    figures = {}
    for name, found in runs.items():
        if name == "restart, no gallery":  # ids of two runs mean nothing to each other
            found[1] = {c: [[r[0], r[1] + 100_000, *r[2:]] for r in rows] for c, rows in found[1].items()}
        merged = {c: table([r for half in found for r in half.get(c, [])], c) for c in base["cameras"]}
        scores = evaluate_multicam(merged, truth, frames=(first, last), partial=args.partial)
        before, after = (
            owners(merged, truth, range(first, middle + 1)),
            owners(merged, truth, range(middle + 1, last + 1)),
        )
        both = sorted(set(before) & set(after))
        kept = sum(before[p] == after[p] for p in both)
        figures[name] = {"IDF1": scores.combined.idf1, "HOTA": scores.combined.hota, "kept": kept, "people": len(both)}
        print(
            f"{name:20} IDF1 {scores.combined.idf1:.3f}  HOTA {scores.combined.hota:.3f}  same id before and after: "
            f"{kept} of {len(both)} people",
            flush=True,
        )
    save_asked(args, figures)


if __name__ == "__main__":
    main()
