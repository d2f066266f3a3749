"""How many different people: estimates and 90 % intervals against exact truth, beside what peers count.

    python benchmarks/unique_people.py scenes --pictures REID --out FOLDER [--json]
        REID holds the folders cuhk03 and cuhk01. Scenes of ten minutes are generated (see _unique_scenes.py), tracked
        and associated by the program, and counted per camera, per place that several cameras share, and for the whole
        site. A person is to be counted who is in the picture for a second or longer with a quarter or more to be seen.
    python benchmarks/unique_people.py run FOLDER
        One finished run, for example of vtest.avi, in which ten people are annotated.

Tracks, global ids, the sum of global ids over the cameras, and supervision's LineZone (crossings in, of a line across
the middle of each picture, on the same boxes and tracks) stand beside the estimate. "Best naive" is whichever of the
four is nearest to the truth on average over a level.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from _results import add_json, save_asked
from _unique_scenes import Scene, load_engine, make, scene, settings, updates

from streamreid.pipeline import Site
from streamreid.places import EVERYWHERE, PlaceLog, TrackSpan, camera_place, count_people
from streamreid.places.link_graph import who_may_be_who
from streamreid.runs.finished_run import open_run

SCENES = (
    scene("test", "light", 30, 2, 11),
    scene("test", "medium", 30, 3, 12),
    scene("test", "heavy", 30, 4, 13),
    scene("test", "light", 100, 3, 14),
    scene("test", "medium", 100, 4, 15),
    scene("test", "heavy", 100, 6, 16),
    scene("test", "light", 190, 5, 17),
    scene("test", "medium", 285, 6, 19),
)
SEEN, SHARE = 1.0, 0.25  # seconds in a picture, and share to be seen, from which somebody is to be counted
NAIVE = ("tracks", "global ids", "sum over cameras", "LineZone")


def counted(item: Scene, out: Path) -> list[dict[str, Any]]:
    """The cells of one scene; kept in its folder."""
    folder = out / item.name
    kept = folder / "cells.json"
    if not kept.exists():
        kept.write_text(json.dumps(list(_cells(item, folder, out))))
    return list(json.loads(kept.read_text()))


def _cells(item: Scene, folder: Path, out: Path) -> Iterator[dict[str, Any]]:
    site = Site(settings(item.config.cameras), load_engine(out))
    spans: dict[tuple[str, int], list[float]] = {}
    lines: dict[str, sv.LineZone] = {}
    for update in updates(folder):
        for one in update.released:
            name, (wide, high) = one.frame.camera, one.frame.size
            line = lines.setdefault(name, sv.LineZone(start=sv.Point(wide // 2, high), end=sv.Point(wide // 2, 0)))
            if len(one.tracks):
                line.trigger(sv.Detections(xyxy=one.tracks.boxes, tracker_id=one.tracks.ids))
            for track in one.tracks.ids.tolist():
                spans.setdefault((name, track), [one.frame.time, one.frame.time, 0])[1:] = [
                    one.frame.time,
                    spans.get((name, track), [0, 0, 0])[2] + 1,
                ]
        site.process(update)
    log = PlaceLog(
        spans=tuple(TrackSpan(*key, span[0], span[1], int(span[2])) for key, span in spans.items()),
        watched={c.name: (0.0, 600.0) for c in site.config.cameras},
    )
    links, identities = site.pair_links(), site.identities
    samples = who_may_be_who([t.key for t in links.tracks], links.pairs, links.log_odds, identities, log.spans)
    groups = {name: cameras for name, cameras in _places(item).items() if len(cameras) > 1}
    places = [camera_place(c.name) for c in site.config.cameras] + ([EVERYWHERE] if len(item.config.groups) > 1 else [])
    members = {name: [camera_place(c) for c in cameras] for name, cameras in groups.items()}
    truth = np.load(folder / "truth.npz")
    for row in count_people(log, identities, samples, places=places, groups=members):
        cameras = groups.get(row["place"]) or [
            c.name for c in site.config.cameras if row["place"] in (camera_place(c.name), EVERYWHERE)
        ]
        own = {c: {identities[k][0] for k in spans if k[0] == c} - identities.unlinked - {0} for c in cameras}
        yield {
            "place": row["place"],
            "truth": _truth(truth, cameras),
            **{k: row[k] for k in ("unique", "unique_low", "unique_high")},
            "tracks": sum(k[0] in cameras for k in spans),
            "global ids": len(set().union(*own.values())),
            "sum over cameras": sum(map(len, own.values())),
            "LineZone": sum(lines[c].in_count for c in cameras if c in lines),
        }


def _places(item: Scene) -> dict[str, list[str]]:
    found, first = {}, 1
    for number, count in enumerate(item.config.groups):
        found[f"place {number + 1}"] = [f"cam{i:02d}" for i in range(first, first + count)]
        first += count
    return found


def _truth(truth: Any, cameras: list[str]) -> int:
    """How many people were in any of the pictures for long enough."""
    here = np.isin(truth["camera"], cameras) & (truth["visibility"] >= SHARE)
    moments = np.unique(np.stack([truth["person"][here], np.round(truth["time"][here] * 4)], 1), axis=0)
    _, frames = np.unique(moments[:, 0], return_counts=True)
    return int((frames >= SEEN * 4).sum())


def summary(cells: list[dict[str, Any]]) -> dict[str, float]:
    """The figures of some cells."""
    truth = np.array([c["truth"] for c in cells], float)

    def error(name: str) -> np.ndarray:
        return np.abs(np.array([c[name] for c in cells]) - truth)

    low, high = (np.array([c[f"unique_{side}"] for c in cells]) for side in ("low", "high"))
    naive = min(float(error(name).mean()) for name in NAIVE)
    return {
        "cells": len(cells),
        "median error": float(np.median(error("unique") / truth)),
        "bias": float(np.mean([(c["unique"] - c["truth"]) / c["truth"] for c in cells])),
        "covered": float(((low <= truth) & (truth <= high)).mean()),
        "width": float((high - low).mean()),
        "twice the best naive error": 2 * naive,
        **{f"median error, {name}": float(np.median(error(name) / truth)) for name in NAIVE},
    }


def scenes(options: argparse.Namespace) -> None:
    """The table."""
    levels: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in SCENES:
        if options.only and item.name not in options.only:
            continue
        make(item, options.pictures, options.out)
        cells = counted(item, options.out)
        levels[item.config.level] += cells
        levels["all"] += cells
        for cell in cells if options.cells else ():
            print(item.name, *(f"{k}={v}" for k, v in cell.items()), flush=True)
    figures = {level: summary(cells) for level, cells in levels.items()}
    for level, found in figures.items():
        print(f"{level:8}", *(f"{name} {value:.3g};" for name, value in found.items()))
    save_asked(options, figures, seed=0)


def run(options: argparse.Namespace) -> None:
    """One finished run."""
    for row in open_run(options.folder).counts():
        print(row["place"], row["unique"], "in", row["unique_low"], "to", row["unique_high"])
        if row["place"] == EVERYWHERE:
            save_asked(options, {k: row[k] for k in ("unique", "unique_low", "unique_high")}, seed=0)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("scenes")
    one.add_argument("--pictures", type=Path, required=True)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--cells", action="store_true", help="print every cell")
    one.add_argument("--only", nargs="*", help="names of scenes")
    one.set_defaults(run=scenes)
    two = verbs.add_parser("run")
    two.add_argument("folder", type=Path)
    two.set_defaults(run=run)
    for name, verb in verbs.choices.items():
        add_json(verb, f"unique_people.{name}")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
