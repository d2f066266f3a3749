"""How many cameras one Site process follows on one core: generated tracks and features, no pictures.

    python benchmarks/site_scale.py [--cameras 25 50 100 200 400] [--minutes 2] [--fps 10] [--json]

Every camera gives ``--fps`` (10) frames per second with ten people, as bytes of `TrackUpdate`, the way perception
workers send them. People stay 10 to 60 s and come back in another camera; 1,000 more whom the site knows already are
away at any time. Features have 6 parts of 256 values, the effective rank of an engine's, and come as often as
`engine.embedding_interval` has people embedded. One thread; the other camera's frames lie evenly between those of one.

``load`` is processor time of this process per second of capture time: above 1 the site falls behind. ``lag`` is how
long after its arrival a frame's result is out, as a queue has it in which every update takes the processor time that
was measured for it; what else runs on the machine counts little. Over two hours of capture time or more, the
milliseconds per frame are stated for every hour. The first seconds, in which everybody appears at once,
are left out (``--warmup``). ``found again``: of people who came back, those who got the id they had.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core; before NumPy is imported

import argparse
import logging
import resource
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _generated_looks import crowd
from _results import add_json, save_asked
from numpy.typing import NDArray

from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.config import Config
from streamreid.features.eight_bits import in_eight_bits
from streamreid.features.similarity import Calibration
from streamreid.pipeline import Site
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.sinks.jsonl import JsonlSink
from streamreid.track_update import TrackedFrame, TrackObservation, TrackUpdate
from streamreid.types import Detections, Frame, FrameResult, KnownIdentity, PartFeatures, Tracks

PEOPLE = 10
"""In view of each camera at any time."""

STAY = 10.0, 60.0
"""Seconds that somebody stays in view, least and most."""

SIZE = 1920, 1080

BEGIN = 1000.0
"""Capture time of the first frame, seconds."""

PARTS, DIM = 6, 256

NOISE = 0.03
"""Of each value of a look; two looks at one person then have a cosine of .8."""


def embedding_waits(most: float) -> NDArray[np.float64]:
    """Seconds from each embedding of a person to the next, as `engine.embedding_interval` has it."""
    return np.minimum(most, 0.1 * 2.0 ** np.arange(22))


class Crowd:
    """People who walk from camera to camera.

    Args:
        cameras: How many.
        away: People who are in view of none.
        seed: Of what is drawn.
        interval: `engine.embedding_interval`.
        bits: `engine.feature_bits`.
        fps: Frames per second of each camera.
    """

    def __init__(self, cameras: int, away: int, seed: int, interval: float, bits: int = 32, fps: float = 10) -> None:
        self._bits, self._fps = bits, fps
        self.rng = np.random.default_rng(seed)
        self.names = [f"camera{i:03d}" for i in range(cameras)]
        count = cameras * PEOPLE
        self.looks = crowd(count + away, self.rng, PARTS, DIM)
        self.person = np.arange(count).reshape(cameras, PEOPLE)
        self.away = list(range(count, count + away))
        self.track = np.arange(count).reshape(cameras, PEOPLE) % PEOPLE + 1
        self._next_track = np.full(cameras, PEOPLE + 1)
        self._waits = embedding_waits(interval)
        # Nobody came just now: the first stays end one after the other.
        self._until = BEGIN + self.rng.uniform(0, STAY[1], (cameras, PEOPLE))
        self._embed_at = np.full((cameras, PEOPLE), BEGIN)
        self._embedded = np.zeros((cameras, PEOPLE), np.int64)
        self._where = self.rng.uniform(0, 0.9, (cameras, PEOPLE, 2)) * SIZE

    def known(self) -> list[KnownIdentity]:
        """Those who are away, as a gallery knows them; person i is identity i + 1."""
        full, one = np.ones((1, PARTS), np.float32), np.ones(1, np.float32)
        return [
            KnownIdentity(i + 1, PartFeatures(self.looks[i : i + 1], full), one, 0.0, 0.0, frozenset({"elsewhere"}))
            for i in self.away
        ]

    def update(self, camera: int, index: int, now: float) -> TrackUpdate:
        """The next frame of a camera."""
        rng = self.rng
        for row in np.flatnonzero(self._until[camera] <= now).tolist():
            pick = int(rng.integers(len(self.away)))
            self.person[camera, row], self.away[pick] = self.away[pick], int(self.person[camera, row])
            self.track[camera, row] = self._next_track[camera]
            self._next_track[camera] += 1
            self._until[camera, row] = now + rng.uniform(*STAY)
            self._embed_at[camera, row], self._embedded[camera, row] = now, 0
        due = np.flatnonzero(self._embed_at[camera] <= now + 1e-6)
        features = PartFeatures.unseen(PEOPLE, PARTS, DIM)
        if len(due):
            seen = self.looks[self.person[camera, due]]
            seen = seen + NOISE * rng.standard_normal(seen.shape, np.float32)
            seen /= np.linalg.norm(seen, axis=2, keepdims=True)
            features.parts[due] = in_eight_bits(seen) if self._bits == 8 else seen
            features.visibility[due] = rng.uniform(0.5, 1.0, (len(due), PARTS))
            waits = self._waits[np.minimum(self._embedded[camera, due], len(self._waits) - 1)]
            self._embed_at[camera, due] = now + waits
            self._embedded[camera, due] += 1
        self._where[camera] = np.clip(self._where[camera] + rng.normal(0, 3, (PEOPLE, 2)), 0, 0.9 * np.array(SIZE))
        corner = self._where[camera].astype(np.float32)
        boxes = np.concatenate([corner, corner + np.array([60, 160], np.float32)], 1)
        scores = np.full(PEOPLE, 0.9, np.float32)
        tracks = Tracks(self.track[camera].copy(), boxes, scores, np.arange(PEOPLE))
        name = self.names[camera]
        frame = Frame.without_image(name, index, now, size=SIZE)
        observation = TrackObservation(name, now, tracks, features, rng.uniform(0.6, 1.0, PEOPLE).astype(np.float32))
        released = TrackedFrame(frame, tracks, features.visibility)
        detections = Detections(boxes, scores, np.zeros(PEOPLE, np.int64))
        return TrackUpdate(frame, detections, (observation,), (released,))

    def updates(self, minutes: float) -> Iterator[tuple[float, dict[tuple[str, int], int], bytes]]:
        """Arrival time, who is really in view of the camera, and bytes of every update, in order of time."""
        cameras = len(self.names)
        for index in range(round(minutes * 60 * self._fps)):
            for camera in range(cameras):
                now = BEGIN + (index + camera / cameras) / self._fps
                update = self.update(camera, index, now)
                who = dict(
                    zip(
                        ((self.names[camera], t) for t in self.track[camera].tolist()),
                        self.person[camera].tolist(),
                        strict=True,
                    )
                )
                yield now, who, update.to_bytes()


@dataclass
class Watch:
    """Whether people who come back get the id they had."""

    of_person: dict[int, int]
    open: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    came_back: int = 0
    found: int = 0

    def take(self, result: FrameResult, who: dict[tuple[str, int], int]) -> None:
        """Take a frame's ids and its real people."""
        camera = result.frame.camera
        now = dict(zip(result.tracks.ids.tolist(), result.global_ids.tolist(), strict=True))
        for key, person in who.items():
            self.open[key] = person, now.get(key[1], 0)
        for key in [k for k in self.open if k[0] == camera and k not in who]:
            person, gid = self.open.pop(key)
            before = self.of_person.setdefault(person, gid)
            if before != gid or (person in self.of_person and gid):
                self.came_back += 1
                self.found += before == gid


def lags(arrivals: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds from arrival to result of each update, one after the other on one core."""
    done = np.cumsum(costs)
    # finish_i = max(arrival_i, finish_{i-1}) + cost_i
    finish = done + np.maximum.accumulate(arrivals - np.concatenate([[0.0], done[:-1]]))
    return np.asarray(finish - arrivals, np.float64)


def memory() -> float:
    """MiB that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def follow(cameras: int, options: argparse.Namespace) -> dict[str, float]:
    """One site with so many cameras; its figures."""
    config = Config.from_sources(*[f"camera{i:03d}.mp4" for i in range(cameras)])
    interval = config.engine.embedding_interval if options.interval is None else options.interval
    scene = Crowd(cameras, options.known, options.seed, interval, options.bits, options.fps)
    engine = EngineDescription(
        "generated", "generated", tuple(f"part{k}" for k in range(PARTS)), DIM, Calibration(20.0, -7.0)
    )
    statistics = Statistics({name: CameraCount(live=True) for name in scene.names})
    site = Site(config, engine, live=True, statistics=statistics)
    known = scene.known()
    site.associator.admit(known)
    site.view.admit(known)
    watch = Watch({k.global_id - 1: k.global_id for k in known})
    arrivals, costs = array("d"), array("d")  # millions: lists of them would be most of what grows
    size, minutes = 0, list[float]()
    spent, least = 0.0, BEGIN + options.warmup
    lines = JsonlSink(options.lines) if options.lines else None
    for arrival, who, data in scene.updates(options.minutes):
        begin = time.process_time()
        results = site.process(TrackUpdate.from_bytes(data))
        events = site.drain_events()
        site.drain_place_events()
        site.drain_settled()
        if lines is not None:
            for event in events:
                lines.event(event)
            for result in results:
                lines.write(result)
        cost = time.process_time() - begin
        spent += cost
        arrivals.append(arrival)
        costs.append(cost)
        size += len(data)
        for result in results:
            watch.take(result, who)
        if arrival >= BEGIN + 60 * (len(minutes) + 1):
            minutes.append(memory())
        if spent > options.limit:
            break
    at, took = np.array(arrivals), np.array(costs)
    if at[-1] < least + 1:
        raise SystemExit(
            f"{cameras} cameras: {spent:.0f} s of processor time were over before --warmup was; raise --limit"
        )
    lag, counted = lags(at, took)[at >= least], took[at >= least]
    seconds = len(counted) / cameras / options.fps
    figures = {
        "load": counted.sum() / seconds,
        "ms_per_frame": 1000 * counted.mean(),
        "lag_p50_ms": 1000 * float(np.percentile(lag, 50)),
        "lag_p95_ms": 1000 * float(np.percentile(lag, 95)),
        "lag_most_ms": 1000 * float(lag.max()),
        "MiB": memory(),
        "identities": site.associator.people,
        "KB_per_camera_and_second": size / (at[-1] - BEGIN) / cameras / 1000,
        "found_again": watch.found / max(watch.came_back, 1),
        "seconds": seconds,
    }
    if len(minutes) > 10:  # flat over time?
        thirds = np.array_split(lag, 3)
        figures |= {f"lag_p95_ms_third_{i}": 1000 * float(np.percentile(x, 95)) for i, x in enumerate(thirds, 1)}
        each = [took[(at >= BEGIN + 60 * m) & (at < BEGIN + 60 * (m + 1))].mean() for m in range(1, len(minutes))]
        slope = np.polyfit(np.arange(len(each)), each, 1)[0]
        figures["growth_percent_per_hour"] = 100 * 60 * slope / float(np.mean(each))
        figures["MiB_per_hour"] = 60 * np.polyfit(np.arange(len(minutes) // 2), minutes[-(len(minutes) // 2) :], 1)[0]
    hours = (at - BEGIN) // 3600
    if at[-1] - BEGIN >= 7000:
        for hour in range(int(hours[-1]) + 1):
            figures[f"ms_per_frame_hour_{hour + 1}"] = 1000 * float(took[hours == hour].mean())
    site.close()
    if lines is not None:
        lines.abort()
    return {k: float(v) for k, v in figures.items()}


def main() -> None:
    """Measure and print."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[25, 50, 100, 200, 400])
    parser.add_argument("--known", type=int, default=1000, help="people who are known and away")
    parser.add_argument("--minutes", type=float, default=2.0, help="of capture time")
    parser.add_argument("--fps", type=float, default=10.0, help="frames per second of each camera")
    parser.add_argument("--warmup", type=float, default=20.0, help="seconds at the beginning that do not count")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds of processor time after which a size ends")
    parser.add_argument("--lines", type=Path, help="also write JSON lines, there")
    parser.add_argument("--bits", type=int, choices=(8, 32), default=8, help="engine.feature_bits")
    parser.add_argument("--interval", type=float, help="engine.embedding_interval, seconds")
    parser.add_argument("--seed", type=int, default=0)
    add_json(parser, "site_scale")
    options = parser.parse_args()
    print(
        f"{'cameras':>7} {'load':>6} {'ms/frame':>9} {'lag p50':>8} {'p95':>7} {'most ms':>8} {'MiB':>6} "
        f"{'identities':>10} {'KB/s each':>9} {'found again':>11}"
    )
    figures: dict[str, Any] = {}
    for cameras in options.cameras:
        f = figures[str(cameras)] = follow(cameras, options)
        print(
            f"{cameras:7} {f['load']:6.2f} {f['ms_per_frame']:9.3f} {f['lag_p50_ms']:8.1f} {f['lag_p95_ms']:7.0f} "
            f"{f['lag_most_ms']:8.0f} {f['MiB']:6.0f} {f['identities']:10.0f} {f['KB_per_camera_and_second']:9.1f} "
            f"{f['found_again']:11.3f}",
            flush=True,
        )
    save_asked(options, figures)


if __name__ == "__main__":
    main()
