"""Following people on the ground with boxes alone: camera-frames per second of one core, whether they become fewer as a
run gets longer, and whether people keep their identity.

    python benchmarks/ground_speed.py [--seconds 600] [--window 20] [--profile FILE] [--json]

A generated crowd walks where seven calibrated cameras look; every edge of a box is off by 3 % of its height (standard
deviation), one box in ten is missing, those of hidden people more often, and tracks inside a camera break. There are no
pictures and no features: track updates go to ``Site``, so what is measured is the tracker on the ground, the
association by place, and the comparison of clocks. Process time, generation left out. The slope is that of the
milliseconds per camera-frame over the windows after the first ``--settled`` seconds: until then the window of the
association fills. IDF1 is that of global ids over the boxes of all cameras.
"""

from __future__ import annotations

import argparse
import cProfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import _root  # noqa: F401
import numpy as np
from _results import add_json, save_asked
from scipy.optimize import linear_sum_assignment

from streamreid.config import Config
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.site import Site
from streamreid.track_update import TrackedFrame, TrackObservation, TrackUpdate
from streamreid.types import Detections, Frame, PartFeatures, Tracks
from tests.support.crowds import SIZE, Scene

_MISSING = 0.06
"""Share of boxes that are left out beside the .04 and more that ``Scene`` leaves out."""

_TRACK = 40.0
"""Seconds after which a track inside a camera breaks, on average."""

_PERSON = 5
"""Boxes that make an id a person's: fewer number a scrap of a track."""

_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


def configuration(scene: Scene, folder: Path) -> Config:
    """The cameras of a scene, calibrated by files in ``folder``."""
    cameras = []
    for camera, (_, stated) in scene.matrices.items():
        np.savetxt(folder / f"{camera}.csv", stated, delimiter=",")
        boxes, calibration = folder / f"{camera}.txt", str(folder / f"{camera}.csv")
        boxes.write_text("")
        cameras.append({"name": camera, "uri": str(boxes), "fps": scene.rate, "size": SIZE, "calibration": calibration})
    return Config.from_dict({"cameras": cameras, "detector": {"model": f"mot:{folder}"}, "engine": {"model": "none"}})


def updates(scene: Scene, shown: Counter[tuple[str, int, int]]) -> Iterator[TrackUpdate]:
    """What perception would hand on: every frame at once, with tracks that break by chance. ``shown`` counts the boxes
    of each camera, track and person."""
    rng = np.random.default_rng([scene.seed, 3])
    current: dict[tuple[str, int], int] = {}
    number, index = 0, dict.fromkeys(scene.matrices, 0)
    for camera, stamp, boxes, ids in scene.frames():
        kept = rng.uniform(size=len(ids)) >= _MISSING
        boxes, people = boxes[kept].astype(np.float32), (ids[kept] // 1000).tolist()
        names = []
        for person in people:
            if (camera, person) not in current or rng.uniform() < 1 / (scene.rate * _TRACK):
                number += 1
                current[camera, person] = number
            names.append(current[camera, person])
            shown[camera, current[camera, person], person] += 1
        n = len(names)
        scores, rows = np.full(n, 0.9, np.float32), np.arange(n)
        tracks = Tracks(np.array(names, np.int64), boxes, scores, rows)
        frame = Frame(camera, index[camera], stamp, _NO_PICTURE, extent=SIZE)
        index[camera] += 1
        seen = TrackObservation(camera, stamp, tracks, PartFeatures.unseen(n), np.zeros(n, np.float32))
        tracked = TrackedFrame(frame, tracks, np.zeros((n, 1), np.float32))
        yield TrackUpdate(frame, Detections(boxes, scores, np.zeros(n, np.int64)), (seen,), (tracked,))


def idf1(shown: Counter[tuple[str, int, int]], owner: Mapping[tuple[str, int], int]) -> float:
    """IDF1 of global ids over all boxes, which are right but for the id."""
    people, ids = sorted({p for _, _, p in shown}), sorted(set(owner.values()))
    table = np.zeros((len(people), len(ids)))
    for (camera, track, person), count in shown.items():
        if (camera, track) in owner:
            table[people.index(person), ids.index(owner[camera, track])] += count
    rows, columns = linear_sum_assignment(-table)
    return float(2 * table[rows, columns].sum() / (sum(shown.values()) + table.sum()))


def measure(
    scene: Scene, window: float, profile: cProfile.Profile | None = None
) -> tuple[list[float], float, int, float]:
    """Milliseconds per camera-frame of each window, seconds that the end takes, people found, and IDF1."""
    rows: list[float] = []
    shown: Counter[tuple[str, int, int]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        site = Site(configuration(scene, Path(folder)), EngineDescription())
        spent, frames, until = 0.0, 0, window
        for update in updates(scene, shown):
            if update.frame is not None and update.frame.time >= until:
                rows.append(1e3 * spent / max(frames, 1))
                print(f"{until:6.0f} s {1e3 / rows[-1]:8.1f} camera-frames/s", flush=True)
                spent, frames, until = 0.0, 0, until + window
            began = time.process_time()
            if profile is not None:
                profile.enable()
            site.process(update)
            if profile is not None:
                profile.disable()
            spent, frames = spent + time.process_time() - began, frames + 1
        rows.append(1e3 * spent / max(frames, 1))
        print(f"{until:6.0f} s {1e3 / rows[-1]:8.1f} camera-frames/s", flush=True)
        began = time.process_time()
        site.process(TrackUpdate(last=True))
        took, owner = time.process_time() - began, {key: gid for key, (gid, _) in site.identities.items()}
        seen = Counter(owner[c, t] for c, t, _ in shown.elements() if (c, t) in owner)
        return rows, took, sum(count >= _PERSON for count in seen.values()), idf1(shown, owner)


def slope(times: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Least-squares slope and its standard error."""
    centred = times - times.mean()
    found = float((centred * values).sum() / (centred**2).sum())
    rest = values - values.mean() - found * centred
    return found, float(np.sqrt((rest**2).sum() / max(len(times) - 2, 1) / (centred**2).sum()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--window", type=float, default=20.0)
    parser.add_argument("--settled", type=float, default=0.0)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", type=Path, help="write a profile of the site here (slower)")
    add_json(parser, "ground_speed")
    args = parser.parse_args()
    scene = Scene(args.seed, args.seconds, args.people, rate=2.0, area=(16.0, 16.0), moving=0.8)
    profile = cProfile.Profile() if args.profile else None
    rows, end, people, found = measure(scene, args.window, profile)
    if profile is not None:
        profile.dump_stats(args.profile)
    times = (np.arange(len(rows)) + 0.5) * args.window
    kept = times > args.settled
    figures = {f"camera_frames_per_second.{(k + 1) * args.window:.0f}s": 1e3 / row for k, row in enumerate(rows)}
    figures |= {"end_seconds": end, "people": float(people), "IDF1": found}
    print(f"end {end:.2f} s, {people} identities of {args.people} people, IDF1 {found:.4f}")
    if kept.sum() > 2:
        rise, error = slope(times[kept], np.array(rows)[kept])
        figures |= {"slope_ms_per_frame_and_minute": 60 * rise, "slope_standard_error": 60 * error}
        print(f"slope {60 * rise:+.4f} +- {60 * error:.4f} ms per camera-frame and minute (standard error)")
    save_asked(args, figures)


if __name__ == "__main__":
    main()
