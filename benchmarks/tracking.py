"""Trackers on the same cached detections and features, scored in the same way: HOTA, IDF1, switches, milliseconds per
update.

    python benchmarks/tracking.py VIDEO TRUTH --detector yolo11n.onnx:640 yolox_nano.onnx:416 mot:det.txt --engine
    BUNDLE [--stress] python benchmarks/tracking.py --mot TUD-Campus TUD-Stadtmitte      folders with det.txt, gt.txt,
    seqinfo.ini: motion only python benchmarks/tracking.py --cost                               processor time per
    update by number of people python benchmarks/tracking.py --soak 1000000                       memory and time per
    update while people come and go

Detections and features are made once per detector, thresholds and engine, and kept in --cache. Every set is run with
one and the same configuration. Peers: see ``_peers.py``; one that is not installed is skipped with a line (pip install
trackers ultralytics boxmot). Scores: TrackEval, IoU .5. ``--stress``: the same with every 2nd, 3rd, 5th frame only,
with a tenth of the boxes removed at random, with one second without boxes. Set OPENBLAS_NUM_THREADS=1 where others use
the machine too, or its threads wait for each other.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import importlib
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from _peers import PEERS
from _results import add_json, save_asked

from streamreid.config import CameraConfig, DetectorConfig, EngineConfig, TrackerConfig
from streamreid.detection import open_detector
from streamreid.evaluation import Table, evaluate_mot, read_mot
from streamreid.features.similarity import Calibration
from streamreid.sources import open_source
from streamreid.tracking import FixedLagTracks, Tracker, botsort, bytetrack
from streamreid.types import Detections, Frame, PartFeatures

Step = Callable[[int], Iterator[tuple[int, Any]]]
STRESS = ("every 2nd frame", "every 3rd frame", "every 5th frame", "10 % of boxes removed", "1 second removed")
REFERENCE = "Roboflow ByteTrack"
SIZE = np.array([40.0, 100.0])
results: dict[str, Any] = {}
"""Figures of this run, for ``--json``."""


@dataclass
class Clip:
    """What every tracker gets.

    Args:
        numbers: Frame numbers, from 1.
        times: Capture time per frame.
        detections: People per frame.
        features: Their looks per frame, or None without an engine.
        size: Width and height of the pictures.
        video: For trackers that want pictures.
        calibration: Of the engine.
    """

    numbers: list[int]
    times: list[float]
    detections: list[Detections]
    features: list[PartFeatures] | None
    size: tuple[int, int]
    video: Path | None = None
    calibration: Calibration | None = None
    _pictures: list[Any] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Frames per second."""
        return 1.0 / float(np.median(np.diff(self.times)))

    def image(self, number: int) -> Any:
        """BGR picture, or None."""
        if self.video is not None and not self._pictures:
            with open_source(CameraConfig(name="clip", uri=str(self.video), frames=self.numbers[-1])) as source:
                wanted = set(self.numbers)
                self._pictures.extend(f.image for f in source if f.index + 1 in wanted)
        return self._pictures[number] if self._pictures else None

    def flat(self, number: int) -> Any:
        """Features ``[N, K * D]`` for trackers that know no parts."""
        assert self.features is not None
        parts = self.features[number].parts
        return np.ascontiguousarray(parts.reshape(len(parts), -1))

    def pick(self, frames: list[int], rows: Callable[[int], Any]) -> Clip:
        """Some frames, and of frame i only ``rows(i)``."""
        features = None if self.features is None else [self.features[i][rows(i)] for i in frames]
        detections = [self.detections[i][rows(i)] for i in frames]
        return replace(
            self,
            numbers=[self.numbers[i] for i in frames],
            times=[self.times[i] for i in frames],
            detections=detections,
            features=features,
            _pictures=[],
        )


def stressed(clip: Clip, kind: str) -> Clip:
    """The clip under one of ``STRESS``."""
    frames = list(range(len(clip.times)))
    everybody = slice(None)
    if kind.startswith("every"):
        return clip.pick(frames[:: int(kind.split()[1][0])], lambda _: everybody)
    if kind.startswith("10 %"):
        rng = np.random.default_rng(0)
        kept = [rng.random(len(d)) >= 0.1 for d in clip.detections]
        return clip.pick(frames, lambda i: kept[i])
    middle = clip.times[len(clip.times) // 2]
    return clip.pick(frames, lambda i: slice(0, 0) if middle <= clip.times[i] < middle + 1.0 else everybody)


def ours(config: TrackerConfig, *, looks: bool = True) -> Callable[[Clip], Step]:
    """This project's tracker. As in the pipeline only sure boxes have looks."""

    def build(clip: Clip) -> Step:
        if looks and clip.features is None:
            raise LookupError("no --engine was given")
        tracker = Tracker(config, clip.calibration)
        late = FixedLagTracks(tracker) if config.delay else None
        late_frames = iter(range(len(clip.times)))

        def step(number: int) -> Iterator[tuple[int, Any]]:
            people, features = clip.detections[number], None
            if looks and clip.features is not None:
                seen = clip.features[number]
                features = PartFeatures(seen.parts, seen.visibility * (people.scores >= config.high_score)[:, None])
            tracks = tracker.update(people, features, clip.times[number], size=clip.size)
            if late is None:
                yield from zip(tracks.ids, tracks.boxes, strict=True)
                return
            late.push(tracks, clip.times[number])
            due = late.due()
            if number == len(clip.times) - 1:
                due += late.flush()
            for _, tracks in due:
                frame = next(late_frames)
                yield from ((int(i), (frame, box)) for i, box in zip(tracks.ids, tracks.boxes, strict=True))

        return step

    return build


TRACKERS: dict[str, Callable[[Any], Step]] = {
    "streamreid": ours(TrackerConfig()),
    "streamreid, delay 1 s": ours(TrackerConfig(delay=1.0)),
    "streamreid, no ReID": ours(TrackerConfig(), looks=False),
    "streamreid, no ReID, delay 1 s": ours(TrackerConfig(delay=1.0), looks=False),
    "ByteTrack of our parts": ours(bytetrack(), looks=False),
    "BoT-SORT of our parts + ReID": ours(botsort()),
    **PEERS,
}


def play(clip: Clip, build: Callable[[Clip], Step]) -> tuple[Table, float]:
    """Run a tracker over the clip: its results and the milliseconds per update."""
    step = build(clip)
    rows: list[tuple[float, ...]] = []
    seconds = 0.0
    clip.image(0)
    for number in range(len(clip.times)):
        start = time.perf_counter()
        people = list(step(number))
        seconds += time.perf_counter() - start
        for who, box in people:
            frame = number
            if len(box) == 2:
                frame, box = box
            a, b, c, d = map(float, box)
            rows.append((clip.numbers[frame], int(who), a, b, c - a, d - b))
    data = np.array(rows, np.float64).reshape(-1, 6)
    return Table.build(data[:, 0], data[:, 1], data[:, 2:6]), 1000 * seconds / len(clip.times)


def make_clip(video: Path, count: int, detector: DetectorConfig, engine: str | None, cache: Path) -> Clip:
    """Detect (and describe) the people of a video, or read them from the cache."""
    find = open_detector(detector)
    embed: Any = None
    if engine is not None:
        embed = importlib.import_module("streamreid.reid").open_embedder(EngineConfig(model=engine))
    key = (
        f"{video.stat().st_size} {video.name} {count} {find.fingerprint} {detector!r} {engine} "
        f"{getattr(embed, 'fingerprint', '')}"
    )
    file = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with open_source(CameraConfig(name="clip", uri=str(video), frames=count)) as source:
            write_cache(file, source, find, embed)
    return replace(read_cache(file), video=video, calibration=getattr(embed, "calibration", None))


def write_cache(file: Path, source: Any, find: Any, embed: Any) -> None:
    """Run the models over all frames."""
    frames: list[tuple[float, tuple[int, int], Detections, PartFeatures]] = []
    for frame in source:
        found = find([frame])[0]
        looks = PartFeatures.unseen(len(found)) if embed is None else embed([frame], [found])[0]
        frames.append((frame.time, frame.size, found, looks))
    arrays = {
        "times": np.array([f[0] for f in frames]),
        "size": np.array(frames[0][1]),
        "counts": np.array([len(f[2]) for f in frames]),
    }
    arrays |= {
        "boxes": np.concatenate([f[2].boxes for f in frames]),
        "scores": np.concatenate([f[2].scores for f in frames]),
    }
    if embed is not None:
        looks = PartFeatures.concatenate([f[3] for f in frames if len(f[2])])
        arrays |= {"parts": looks.parts, "visibility": looks.visibility}
    np.savez(file, **arrays)  # type: ignore[arg-type]


def read_cache(file: Path) -> Clip:
    """The clip that ``write_cache`` stored."""
    with np.load(file) as data:
        arrays = {name: data[name] for name in data.files}
    edges = np.cumsum(arrays["counts"])[:-1]
    boxes, scores = np.split(arrays["boxes"], edges), np.split(arrays["scores"], edges)
    features = None
    if "parts" in arrays:
        pairs = zip(np.split(arrays["parts"], edges), np.split(arrays["visibility"], edges), strict=True)
        features = [PartFeatures(p, v) for p, v in pairs]
    width, height = arrays["size"].tolist()
    detections = [Detections.from_arrays(b, s) for b, s in zip(boxes, scores, strict=True)]
    return Clip(list(range(1, len(detections) + 1)), arrays["times"].tolist(), detections, features, (width, height))


def read_folder(folder: Path) -> Clip:
    """A MOT sequence without pictures."""
    settings = configparser.ConfigParser()
    settings.read(folder / "seqinfo.ini")
    about = settings["Sequence"]
    find = open_detector(DetectorConfig(model=f"mot:{folder / 'det.txt'}", confidence=0.1))
    width, height, rate = int(about["imWidth"]), int(about["imHeight"]), float(about["frameRate"])
    times = [i / rate for i in range(int(about["seqLength"]))]
    blank = np.zeros((height, width, 3), np.uint8)
    detections = [find([Frame(folder.name, i, t, blank)])[0] for i, t in enumerate(times)]
    return Clip(list(range(1, len(times) + 1)), times, detections, None, (width, height))


def compare(title: str, clip: Clip, truth: Table, names: list[str], rules: str) -> dict[str, float]:
    """Print one table; returns IDF1 per tracker. Where some people are marked as not to be counted, the scores with
    them counted stand behind."""
    print(f"\n{title}: {len(clip.times)} frames, {sum(map(len, clip.detections))} boxes")
    wanted = truth[np.isin(truth.frames, clip.numbers)]
    marked = bool((wanted.scores == 0).any())
    everybody = replace(wanted, scores=np.ones_like(wanted.scores))
    head = "   with everybody annotated: HOTA IDF1 IDSW" if marked else ""
    print(f"{'':30s}  HOTA   DetA   AssA   LocA   IDF1   MOTA  IDSW  ms/update{head}")
    found = {}
    for name in names:
        try:
            table, cost = play(clip, TRACKERS[name])
        except (ImportError, LookupError) as error:
            print(f"{name:30s} skipped: {error}")
            continue
        s = evaluate_mot(table, wanted, frames=(1, clip.numbers[-1]), rules=rules).combined
        row = {"HOTA": s.hota, "DetA": s.deta, "AssA": s.assa, "IDF1": s.idf1, "MOTA": s.mota, "switches": s.idsw}
        results.setdefault(title, {})[name] = row | {"ms": cost}
        line = (
            f"{name:30s} {s.hota:6.4f} {s.deta:6.4f} {s.assa:6.4f} {s.loca:6.4f} {s.idf1:6.4f} {s.mota:6.4f} "
            f"{s.idsw:5d}  {cost:8.2f}"
        )
        if marked:
            e = evaluate_mot(table, everybody, frames=(1, clip.numbers[-1]), rules=rules).combined
            results[title][name]["everybody"] = {"HOTA": e.hota, "IDF1": e.idf1, "switches": e.idsw}
            line += f"      {e.hota:6.4f} {e.idf1:6.4f} {e.idsw:3d}"
        print(line, flush=True)
        found[name] = s.idf1
    return found


def stress(title: str, clip: Clip, truth: Table, full: dict[str, float], rules: str) -> None:
    """How much IDF1 falls under each kind of stress, beside the reference."""
    names = [n for n in full if n.startswith("streamreid") or n == REFERENCE]
    for kind in STRESS:
        hard = compare(f"{title}, {kind}", stressed(clip, kind), truth, names, rules)
        print("  change of IDF1: " + ", ".join(f"{n} {hard[n] - full[n]:+.4f}" for n in hard))


def crowd(people: int, rng: np.random.Generator, width: int) -> tuple[Any, Any]:
    """Places and velocities of people who walk through a wide scene."""
    return rng.uniform(0, [width, 900], (people, 2)), rng.normal(0, 60, (people, 2)) * [1, 0.2]


def crowd_clip(people: int, shape: tuple[int, int], frames: int = 120) -> Clip:
    """A generated crowd with features of ``shape`` (parts, values) and a small grey picture, for trackers that insist
    on one."""
    rng = np.random.default_rng(0)
    at, speed = crowd(people, rng, 100 * people)
    look = rng.normal(size=(people, *shape)).astype(np.float32)
    look /= np.linalg.norm(look, axis=2, keepdims=True)
    found, features = [], []
    for _ in range(frames):
        at = at + speed * 0.1
        boxes = np.concatenate([at, at + SIZE], 1) + rng.normal(0, 1.5, (people, 4))
        seen = rng.random(people) > 0.1
        found.append(Detections.from_arrays(boxes, rng.uniform(0.4, 0.95, people))[seen])
        features.append(PartFeatures(look[seen], np.ones((len(found[-1]), shape[0]), np.float32)))
    times = [i * 0.1 for i in range(frames)]
    size = (100 * people, 1000)
    clip = Clip(list(range(1, frames + 1)), times, found, features, size, calibration=Calibration())
    clip._pictures.extend([np.full((90, 160, 3), 127, np.uint8)] * frames)
    return clip


def cost(shape: tuple[int, int], names: list[str]) -> None:
    """Milliseconds of processor time per update for generated crowds, every tracker in turn."""
    crowds = (10, 30, 100, 300)
    print(
        f"features of {shape[0]} parts of {shape[1]} values; ms of processor time per update with "
        f"{', '.join(map(str, crowds))} people"
    )
    for name in names:
        line = []
        try:
            for people in crowds:
                clip = crowd_clip(people, shape)
                step, start = TRACKERS[name](clip), 0.0
                for i in range(len(clip.times)):
                    if i == 20:  # everybody is known
                        start = time.process_time()
                    list(step(i))
                line.append(1000 * (time.process_time() - start) / (len(clip.times) - 20))
                results.setdefault("x".join(map(str, shape)), {}).setdefault(name, {})[people] = {"ms": line[-1]}
        except (ImportError, LookupError) as error:
            print(f"{name:30s} skipped: {error}")
            continue
        print(f"{name:30s} " + " ".join(f"{ms:9.3f}" for ms in line), flush=True)


class Census:
    """Checks over a whole run that ids never repeat: no id twice in a frame, new ids only ever rise, and none comes
    back after its track must have ended.

    Args:
        patience: Frames after which a track that was not reported has ended.
    """

    def __init__(self, patience: int) -> None:
        self.newest = 0
        self.ended = 0
        self._patience = patience
        self._last: dict[int, int] = {}

    def take(self, frame: int, ids: list[int]) -> None:
        """The ids of the next frame."""
        if len(set(ids)) != len(ids):
            raise AssertionError(f"frame {frame}: an id twice: {ids}")
        fresh = [i for i in ids if i not in self._last]
        if fresh and min(fresh) <= self.newest:
            raise AssertionError(
                f"frame {frame}: id {min(fresh)} came back, or is new though ids up to {self.newest} were given"
            )
        self.newest = max([self.newest, *fresh])
        self._last.update(dict.fromkeys(ids, frame))
        if frame % 1000 == 0:
            gone = [i for i, last in self._last.items() if frame - last > self._patience]
            self.ended += len(gone)
            for i in gone:  # from now on it may not be seen again
                del self._last[i]


def soak(updates: int) -> None:
    """Memory and time per update while people come and go, in ten equal pieces; every id of the whole run is
    checked."""
    rng = np.random.default_rng(0)
    people, dim, width = 4, 32, 1200
    at, speed = crowd(people, rng, width)
    look = rng.normal(size=(people, 1, dim)).astype(np.float32)
    look /= np.linalg.norm(look, axis=2, keepdims=True)
    tracker = Tracker()
    census = Census(int(10 * tracker.config.lost_seconds) + 10)
    costs = []
    for piece in range(10):
        start = time.process_time()
        for i in range(piece * updates // 10, (piece + 1) * updates // 10):
            at = at + speed * 0.1
            gone = (at[:, 0] < -40) | (at[:, 0] > width) | (rng.random(people) < 0.002)
            if gone.any():  # somebody else comes
                at[gone], speed[gone] = crowd(int(gone.sum()), rng, width)
                look[gone] = rng.normal(size=(int(gone.sum()), 1, dim))
                look /= np.linalg.norm(look, axis=2, keepdims=True)
            seen = rng.random(people) > 0.1
            boxes = np.concatenate([at, at + SIZE], 1)[seen]
            features = PartFeatures(look[seen], np.ones((len(boxes), 1), np.float32))
            found = Detections.from_arrays(boxes, np.full(len(boxes), 0.8))
            tracks = tracker.update(found, features, i * 0.1, size=(width, 1000))
            census.take(i, tracks.ids.tolist())
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        each = 1000 * (time.process_time() - start) / (updates // 10)
        results[str((piece + 1) * updates // 10)] = {"MiB": memory, "ms": each, "ids": census.newest}
        costs.append(each)
        print(
            f"{(piece + 1) * updates // 10:9d} updates: {memory:6.1f} MiB, {each:6.3f} ms CPU per update and scene, "
            f"ids up to {census.newest}, {census.ended} ended, none repeated",
            flush=True,
        )
    results["all"] = {"ms least": min(costs), "ms most": max(costs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("truth", type=Path, nargs="?", help="MOT text")
    parser.add_argument("--detector", nargs="+", default=[], help="FILE.onnx:SIZE, or mot:FILE.txt")
    parser.add_argument("--engine", help="engine bundle or name; without it only motion is compared")
    parser.add_argument("--mot", nargs="+", type=Path, default=[], help="folders with det.txt, gt.txt and seqinfo.ini")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--iou", type=float, default=0.6, help="NMS")
    parser.add_argument("--confidence", type=float, default=0.1)
    parser.add_argument(
        "--rules",
        default="mot15",
        help="mot15 as TrackEval; plain leaves results on ground truth rows with score 0 uncounted",
    )
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "streamreid-benchmarks")
    parser.add_argument("--only", nargs="*", default=list(TRACKERS), help="names of trackers")
    parser.add_argument("--stress", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument(
        "--shape", nargs=2, type=int, default=(1, 256), metavar=("PARTS", "DIM"), help="features for --cost"
    )
    parser.add_argument("--soak", type=int, metavar="UPDATES")
    add_json(parser, "tracking")
    args = parser.parse_args()
    clips: list[tuple[str, Clip, Table]] = []
    for item in args.detector:
        model, _, size = item.rpartition(":") if item.rpartition(":")[2].isdigit() else (item, "", "640")
        detector = DetectorConfig(model=model, iou=args.iou, confidence=args.confidence, size=int(size))
        clips.append(
            (
                Path(model).name,
                make_clip(args.video, args.frames, detector, args.engine, args.cache),
                read_mot(args.truth),
            )
        )
    clips += [(folder.name, read_folder(folder), read_mot(folder / "gt.txt")) for folder in args.mot]
    for title, clip, truth in clips:
        full = compare(title, clip, truth, args.only, args.rules)
        if args.stress:
            stress(title, clip, truth, full, args.rules)
    if args.cost:
        cost(tuple(args.shape), args.only)
    if args.soak:
        soak(args.soak)
    mode = "soak" if args.soak else "cost" if args.cost else "" if args.detector else "mot"
    save_asked(args, results, name=f"tracking.{mode}" if mode else "tracking", seed=0)


if __name__ == "__main__":
    main()
