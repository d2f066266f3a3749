"""Line counts beside supervision's LineZone, on the same tracks of the same detections.

    streamreid run vtest.avi --cache CACHE --out OUT
    python benchmarks/lines.py CACHE --strips STRIPS --json

A line counter has two questions to answer: did somebody cross, and was it once? Both counters get the same tracks, from
a cache, so the detector runs once. ``LineZone`` is run with the anchor that its users take for people
(BOTTOM_CENTER), with its default threshold and with three frames, and as it is by default (all four corners). Whatever
is counted by one and not by the other within two seconds is a disagreement; with ``--strips`` each is written as a
strip of pictures, and ``lines_vtest.csv`` holds what was seen on them by eye. The columns right, wrong and late of the
table are of disagreements only. ``--cost`` times zones and lines for 50 people.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import supervision as sv
from _results import add_json, save_asked

from streamreid.config import ZoneConfig
from streamreid.places import Crossing
from streamreid.places.monitor import PlaceMonitor
from streamreid.replay import Replay
from streamreid.replay.replay import replayed_config
from streamreid.sources import open_source
from streamreid.types import Frame, FrameResult, Tracks

LINES = {
    "middle": ((0.50, 0.95), (0.50, 0.20)),
    "road": ((0.75, 0.95), (0.75, 0.10)),
    "left": ((0.25, 0.95), (0.25, 0.20)),
    "across": ((0.20, 0.50), (0.85, 0.50)),
    "kerb": ((0.00, 0.42), (0.90, 0.80)),
}
"""Of vtest.avi, in fractions: three across the road, one along it where people stand and talk, one slanted."""

PEERS = {
    "LineZone feet": ([sv.Position.BOTTOM_CENTER], 1),
    "LineZone feet 3 frames": ([sv.Position.BOTTOM_CENTER], 3),
    "LineZone corners": (
        [sv.Position.TOP_LEFT, sv.Position.TOP_RIGHT, sv.Position.BOTTOM_LEFT, sv.Position.BOTTOM_RIGHT],
        1,
    ),
}
OURS = "streamreid"
SAME = 2.0
"""Seconds within which two counters mean the same crossing of a track."""

_NEAR = 40.0
"""Pixels between the feet of the same person at the same crossing in two runs."""

VERDICTS = Path(__file__).parent / "lines_vtest.csv"


@dataclass(frozen=True)
class Count:
    """One crossing that was counted.

    Args:
        line: Name.
        track: Of the camera.
        time: Capture time.
        direction: in or out, as streamreid calls it.
        feet: Where the person is in the picture, pixels.
    """

    line: str
    track: int
    time: float
    direction: str
    feet: tuple[float, float] = (0.0, 0.0)

    def same(self, other: Count) -> bool:
        """Whether both mean one crossing."""
        return (self.line, self.track, self.direction) == (other.line, other.track, other.direction) and abs(
            self.time - other.time
        ) <= SAME

    def seen_as(self, other: Count) -> bool:
        """Whether another run means this crossing, in which tracks may have other numbers."""
        near = float(np.hypot(*np.subtract(self.feet, other.feet))) <= _NEAR
        return (
            (self.line, self.direction) == (other.line, other.direction)
            and near
            and abs(self.time - other.time) <= SAME
        )


def peers_of(size: tuple[int, int]) -> dict[str, dict[str, sv.LineZone]]:
    """LineZones by setting and line."""

    def point(x: float, y: float) -> sv.Point:
        return sv.Point(round(x * size[0]), round(y * size[1]))

    return {
        peer: {
            name: sv.LineZone(point(*a), point(*b), triggering_anchors=anchors, minimum_crossing_threshold=frames)
            for name, (a, b) in LINES.items()
        }
        for peer, (anchors, frames) in PEERS.items()
    }


def follow(cache: Path) -> tuple[list[FrameResult], dict[str, list[Count]], dict[str, float]]:
    """Results, counts by counter, and seconds that the LineZones took per frame."""
    base = replayed_config(cache)
    camera = base.cameras[0].name
    lines = [{"name": name, "camera": camera, "from": a, "to": b} for name, (a, b) in LINES.items()]
    config = base.with_settings({"lines": lines})
    results: list[FrameResult] = []
    counts: dict[str, list[Count]] = {OURS: [], **{peer: [] for peer in PEERS}}
    spent = dict.fromkeys(PEERS, 0.0)
    with Replay(cache, config) as replay:
        peers: dict[str, dict[str, sv.LineZone]] = {}
        for result in replay:
            peers = peers or peers_of(result.frame.size)
            results.append(result)
            people = result.to_supervision()
            for peer, zones in peers.items():
                begin = time.process_time()
                for name, zone in zones.items():
                    # LineZone calls in what leads to the left-hand side of the line.
                    for direction, crossed in zip(("out", "in"), zone.trigger(people), strict=True):
                        counts[peer] += [
                            Count(name, int(result.tracks.ids[row]), result.frame.time, direction, _feet(result, row))
                            for row in np.flatnonzero(crossed).tolist()
                        ]
                spent[peer] += time.process_time() - begin
        crossings = replay.places.log().crossings
    counts[OURS] = [Count(c.line, c.track_id, c.time, c.direction, _where(results, c)) for c in crossings]
    return results, counts, {peer: seconds / max(len(results), 1) for peer, seconds in spent.items()}


def _feet(result: FrameResult, row: int) -> tuple[float, float]:
    left, _, right, bottom = result.tracks.boxes[row].tolist()
    return (left + right) / 2, bottom


def _where(results: Sequence[FrameResult], crossing: Crossing) -> tuple[float, float]:
    """Feet of the track in the frame nearest to the crossing that shows it."""
    shown = [r for r in results if abs(r.frame.time - crossing.time) <= SAME and crossing.track_id in r.tracks.ids]
    nearest = min(shown, key=lambda r: abs(r.frame.time - crossing.time))
    return _feet(nearest, int(np.flatnonzero(nearest.tracks.ids == crossing.track_id)[0]))


def unmatched(a: Sequence[Count], b: Sequence[Count]) -> list[Count]:
    """Counts of ``a`` that have none of their own in ``b``."""
    left, found = list(b), []
    for count in a:
        partner = next((other for other in left if count.same(other)), None)
        if partner is None:
            found.append(count)
        else:
            left.remove(partner)
    return found


def verdicts() -> list[tuple[Count, str]]:
    """What was seen on the strips: yes, no, or late (a crossing that all counted more than two seconds before)."""
    if not VERDICTS.exists():
        return []
    with open(VERDICTS, encoding="utf-8", newline="") as file:
        return [
            (
                Count(row["line"], 0, float(row["time"]), row["direction"], (float(row["x"]), float(row["y"]))),
                row["crossed"],
            )
            for row in csv.DictReader(file)
        ]


def judged(counts: Sequence[Count], known: Sequence[tuple[Count, str]]) -> dict[str, int]:
    """How many of these counts are right, wrong, late, and not looked at."""
    seen = []
    for count in counts:
        found = [(abs(count.time - other.time), verdict) for other, verdict in known if count.seen_as(other)]
        seen.append(min(found)[1] if found else "")
    names = {"yes": "right", "no": "wrong", "late": "late", "": "not looked at"}
    return {name: seen.count(verdict) for verdict, name in names.items()}


def cost(people: int = 50, zones: int = 20, frames: int = 400) -> dict[str, float]:
    """Milliseconds of processor time per frame of the monitor, best of three, without and with zones."""
    rng = np.random.default_rng(0)
    start, step = rng.uniform(0, 1, (people, 2)), rng.normal(0, 0.004, (frames, people, 2)).cumsum(0)
    feet = np.abs((start + step) % 2 - 1) * 0.8 + 0.1
    size, ids = (1920, 1080), np.arange(1, people + 1)
    results = []
    for k in range(frames):
        x, y = feet[k, :, 0] * size[0], feet[k, :, 1] * size[1]
        boxes = np.stack([x - 20, y - 120, x + 20, y], 1).astype(np.float32)
        tracks = Tracks(ids, boxes, np.ones(people, np.float32), np.arange(people))
        frame = Frame.without_image("a", k, k / 10, size=size)
        ones = np.ones(people, np.float32)
        results.append(FrameResult(frame, tracks, ids, ones, np.ones((people, 6), np.float32)))
    corners = [
        (0.1 + 0.6 * c + 0.12 * np.array([[0, 0], [1, 0], [1.3, 0.6], [1, 1], [0, 1], [-0.3, 0.5]])).tolist()
        for c in start
    ]
    drawn = [ZoneConfig(name=f"z{k}", camera="a", polygon=corners[k]) for k in range(zones)]
    found = {}
    for name, placed in (("no zones", ()), (f"{zones} zones", drawn)):
        best = np.inf
        for _ in range(3):
            monitor = PlaceMonitor(placed)
            begin = time.process_time()
            for result in results:
                monitor.observe(result)
            best = min(best, time.process_time() - begin)
        found[name] = round(1000 * float(best) / frames, 3)
    return found


def strips(results: Sequence[FrameResult], counts: Sequence[tuple[str, Count]], video: Any, folder: Path) -> None:
    """Write a strip of pictures of each disagreement: 1 s and .3 s before, at, .3 s and 1 s after."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_source(video) as source:
        pictures = {frame.index: frame.image for frame in source}
    times = np.array([r.frame.time for r in results])
    for number, (who, count) in enumerate(counts):
        tiles = [tile(results[k], pictures, count) for k in _frames(times, count.time)]
        strip = np.hstack(tiles)
        text = f"{number} {who} only: {count.line} {count.direction}, track {count.track}, {count.time:.1f} s"
        cv2.putText(strip, text, (6, 294), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 255), 1)
        cv2.imwrite(str(folder / f"{number:03d}.png"), strip)


def _frames(times: np.ndarray, time: float) -> Iterator[int]:
    for shift in (-1.0, -0.3, 0.0, 0.3, 1.0):
        yield int(np.argmin(np.abs(times - (time + shift))))


def tile(result: FrameResult, pictures: dict[int, Any], count: Count) -> Any:
    """The surroundings of the person, with the line."""
    image = pictures[result.frame.index].copy()
    height, width = image.shape[:2]
    (ax, ay), (bx, by) = LINES[count.line]
    a, b = (round(ax * width), round(ay * height)), (round(bx * width), round(by * height))
    cv2.line(image, a, b, (255, 0, 255), 1)
    centre = np.array([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2])
    for track, (x0, y0, x1, y1) in zip(
        result.tracks.ids.tolist(), result.tracks.boxes.astype(int).tolist(), strict=True
    ):
        colour = (0, 0, 255) if track == count.track else (0, 255, 0)
        cv2.rectangle(image, (x0, y0), (x1, y1), colour, 1)
        cv2.circle(image, ((x0 + x1) // 2, y1), 2, colour, -1)
        if track == count.track:
            centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    x = int(np.clip(centre[0] - 80, 0, width - 160))
    y = int(np.clip(centre[1] - 80, 0, height - 160))
    return cv2.resize(image[y : y + 160, x : x + 160], (300, 300))


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, nargs="?")
    parser.add_argument("--cost", action="store_true", help="Only time zones for 50 people.")
    parser.add_argument("--strips", type=Path, help="Folder for a strip of pictures of each disagreement.")
    add_json(parser, "lines")
    options = parser.parse_args()
    if options.cost or options.cache is None:
        print(cost())
        return
    results, counts, seconds = follow(options.cache)
    known = verdicts()
    head = ["counter", *LINES, "all", "only it", "only streamreid", "right", "wrong", "late", "not looked at"]
    print("| " + " | ".join(head) + " |", "|" + "---|" * len(head), sep="\n")
    shown: list[tuple[str, Count]] = []
    figures: dict[str, Any] = {}
    for name, found in counts.items():
        extra, missing = unmatched(found, counts[OURS]), unmatched(counts[OURS], found)
        if name != OURS:
            for who, items in ((name, extra), (OURS, missing)):
                shown += [(who, c) for c in items if not any(c.same(other) for _, other in shown)]
        else:  # whatever any of the others did not count
            extra = [c for c in found if any(unmatched([c], counts[peer]) for peer in PEERS)]
        seen = judged(extra, known)
        per_line = [
            f"{sum(c.line == line and c.direction == 'in' for c in found)} / "
            f"{sum(c.line == line and c.direction == 'out' for c in found)}"
            for line in LINES
        ]
        row = [name, *per_line, len(found), len(extra), len(missing), *seen.values()]
        print("| " + " | ".join(map(str, row)) + " |")
        figures[name] = {
            "counts": dict(zip(LINES, per_line, strict=True)),
            "all": len(found),
            "only_it": len(extra),
            "missed": judged(missing, known)["right"],
            **{kind.replace(" ", "_"): number for kind, number in seen.items()},
            "milliseconds_per_frame": None if name == OURS else round(1000 * seconds[name], 3),
        }
    print(f"{len(shown)} disagreements")
    if options.strips is not None:
        strips(results, shown, replayed_config(options.cache).cameras[0], options.strips)
        with open(options.strips / "disagreements.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["number", "line", "x", "y", "time", "direction", "counted by"])
            for number, (who, c) in enumerate(shown):
                writer.writerow([number, c.line, *map(round, c.feet), f"{c.time:.1f}", c.direction, who])
    save_asked(options, {"counters": figures, "milliseconds_of_50_people": cost()})


if __name__ == "__main__":
    main()
