"""Cross-camera identities on synchronised videos with ground truth: ours next to naive linking of the same tracks.

    python benchmarks/multicam.py --camera NAME=VIDEO=TRUTH --camera ... --detector yolo11n.onnx --engine BUNDLE
    [--frames 1:75] [--partial NAME]

Naive linking takes each track's average whole-person feature (slot 0) and (a) leaves tracks unlinked, (b) pairs them
across cameras by the Hungarian method, camera after camera, whatever the similarity, (c) links them by average-linkage
clustering at the threshold that is best on this very clip, found with the ground truth in hand: more than anybody can
have in use. Ours uses its default settings, which were fitted on nothing here.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from _results import add_json, save_asked
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from streamreid import Pipeline
from streamreid.config import Config
from streamreid.evaluation import Table, evaluate_multicam, read_truth

Key = tuple[str, int]
Rows = dict[str, list[tuple[int, int, float, float, float, float]]]


def follow(
    cameras: dict[str, Path], detector: Path, engine: Path
) -> tuple[Rows, dict[Key, int], dict[Key, np.ndarray]]:
    """Run the pipeline: rows (frame, track, left, top, width, height) per camera, global ids, and whole-person averages
    of all tracks."""
    config = Config.from_dict(
        {
            "cameras": [{"name": n, "uri": str(v)} for n, v in cameras.items()],
            "detector": {"model": str(detector)},
            "engine": {"model": str(engine)},
            "association": {"window": 1e6, "memory": 1e6},
        }
    )
    rows: Rows = defaultdict(list)
    with Pipeline(config) as pipeline:
        for result in pipeline:
            for track, (x0, y0, x1, y1) in zip(result.tracks.ids.tolist(), result.tracks.boxes.tolist(), strict=True):
                rows[result.frame.camera].append((result.frame.index + 1, track, x0, y0, x1 - x0, y1 - y0))
        features = {(t.camera, t.track_id): t.features.parts[0, 0] for t in pipeline.tracklets}
        ids = {key: gid for key, (gid, _) in pipeline.identities.items()}
    return rows, ids, features


def hungarian(features: dict[Key, np.ndarray]) -> dict[Key, int]:
    """Identities by pairing every further camera's tracks with the identities so far (mean of members), whatever the
    similarity."""
    ids: dict[Key, int] = {}
    members: dict[int, list[np.ndarray]] = {}
    for camera in sorted({c for c, _ in features}):
        keys = sorted(k for k in features if k[0] == camera)
        known = sorted(members)
        if known:
            means = np.stack([np.mean(members[g], 0) for g in known])
            similarity = np.stack([features[k] for k in keys]) @ means.T
            for i, j in zip(*linear_sum_assignment(similarity, maximize=True), strict=True):
                ids[keys[i]] = known[j]
        for k in keys:
            ids.setdefault(k, len(members) + 1)
            members.setdefault(ids[k], []).append(features[k])
    return ids


def table(rows: Rows, ids: dict[Key, int], camera: str) -> Table:
    """Rows of one camera with their identities; where naive linking gives one identity to two tracks of a frame, the
    older track keeps it."""
    data = {
        (f, ids[camera, t]): (f, ids[camera, t], *box)
        for f, t, *box in sorted(rows[camera], reverse=True)
        if (camera, t) in ids
    }
    a = np.array(list(data.values()), float).reshape(-1, 6)
    return Table.build(a[:, 0].astype(int), a[:, 1].astype(int), a[:, 2:], where=camera)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camera", action="append", required=True, help="NAME=VIDEO=TRUTH")
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--engine", type=Path, action="append", required=True, help="may be repeated")
    parser.add_argument("--frames", default=None, help="FIRST:LAST")
    parser.add_argument("--partial", action="append", default=[])
    add_json(parser, "multicam")
    options = parser.parse_args()
    figures: dict[str, dict[str, dict[str, float]]] = {}
    parts = [c.split("=") for c in options.camera]
    cameras = {name: Path(video) for name, video, _ in parts}
    truth = read_truth([f"{name}={file}" for name, _, file in parts])
    frames = tuple(int(f) for f in options.frames.split(":")) if options.frames else None
    print(f"{'engine':20} {'linking':42} {'IDF1':>6} {'HOTA':>6} {'AssA':>6}  merges splits")
    for engine in options.engine:
        rows, ours, features = follow(cameras, options.detector, engine)

        def report(
            name: str, ids: dict[Key, int], *, show: bool = True, rows: Rows = rows, engine: Path = engine
        ) -> float:
            found = evaluate_multicam(
                {c: table(rows, ids, c) for c in cameras}, truth, frames=frames, partial=options.partial
            )
            s = found.combined
            if show:
                errors = found.identities
                figures.setdefault(engine.name, {})[name.removeprefix("naive: ").partition(",")[0]] = {
                    "IDF1": s.idf1,
                    "HOTA": s.hota,
                    "AssA": s.assa,
                    "merges": errors.merge_count,
                    "splits": errors.split_count,
                }
                print(
                    f"{engine.name:20} {name:42} {s.idf1:6.3f} {s.hota:6.3f} {s.assa:6.3f}  {errors.merge_count:6} "
                    f"{errors.split_count:6}"
                )
            return s.idf1

        keys = sorted(features)
        unlinked = {k: n for n, k in enumerate(keys, 1)}
        report("naive: unlinked", unlinked)
        report("naive: Hungarian", hungarian(features))
        tree = linkage(np.stack([features[k] for k in keys]), "average", metric="cosine")
        cuts = {
            float(t): dict(zip(keys, fcluster(tree, t, "distance").tolist(), strict=True))
            for t in np.linspace(0.05, 0.95, 91)
        }
        best = max(cuts, key=lambda t: report("", cuts[t], show=False))
        report(f"naive: clustering, best threshold ({best:.2f})", cuts[best])
        report("streamreid, defaults", ours)
    save_asked(options, figures)


if __name__ == "__main__":
    main()
