"""Whether link probabilities stay honest while features are moved: as the engine gives them, with the cameras' means
taken away (`association.normalise: camera`), and with what `streamreid adapt` learns of the same recording.

The expected calibration error is that of pairs of tracks, and of fragments of them, by looks alone: without what a run
adds when it decides (strangers, times, the exclusion). "As decided" is that of whole tracks with all of it.

    python benchmarks/honesty.py SCENE=CACHE [SCENE=CACHE ...] [--json]

SCENE is a folder of `streamreid synth` (ground truth in SCENE/truth), CACHE one of `streamreid run --cache` of it; or
both are named one by one: --truth CAMERA=FILE with a single CACHE, as for a recorded clip. Nothing is fitted to the
ground truth. Links at p >= .9 should be right in at least 90 % of cases, the expected calibration error at most .05.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from _results import add_json, save_asked
from association import changed, honesty, names, table

from streamreid.association.link_fitting import probabilities, reliability
from streamreid.association.link_model import link_log_odds, sigmoid
from streamreid.association.pair_sampling import labelled_pairs, track_fragments
from streamreid.errors import DataError
from streamreid.evaluation import Table, evaluate_multicam, read_mot
from streamreid.replay.link_calibration import Walked, walk
from streamreid.replay.site_fitting import fit_site

Key = tuple[str, int]
Sets = dict[str, Any]


def looked_at(truth: Table, walked: Walked, camera: str) -> Table:
    """Ground truth of the frames that the run looked at (cameras with a stride)."""
    stride = next(c.stride for c in walked.replay.config.cameras if c.name == camera)
    keep = (truth.frames - 1) % stride == 0
    return Table.build(truth.frames[keep], truth.ids[keep], truth.boxes[keep], where=camera)


def errors(walked: Walked, person: Mapping[Key, int]) -> tuple[float, float]:
    """Expected calibration error of the link probability over all pairs, and over those with p > .05."""
    settings, site = walked.replay.config.association, walked.replay.site
    looks = {k: v for k, v in walked.recorder.looks.items() if len(v) > 1 and k in person}
    made = track_fragments(looks, slots=settings.prototypes, visibility=settings.visibility)
    adaptation, followed = site.associator.adaptation, site.calibration.calibration
    calibration = followed if adaptation is None else adaptation.calibrated(followed)
    pairs = labelled_pairs(made, person, calibration, settings.unification, site.associator.means)
    said = probabilities(site.associator.link_model, pairs)
    near = said > 0.05
    return reliability(said, pairs.same, pairs.weight).error, reliability(
        said[near], pairs.same[near], pairs.weight[near]
    ).error


def decided(walked: Walked, person: Mapping[Key, int]) -> float:
    """Expected calibration error over pairs of whole tracks with p > .05, as the run decides on them at its end: with
    what strangers, times and the exclusion say, and as many people as it takes for meant."""
    associator = walked.replay.site.associator
    tracks = {k: e for k, e in associator.evidence.items() if e.observations >= associator.config.min_observations}
    nodes = associator._grouping._nodes(tracks, associator._book)
    one, two = np.triu_indices(len(nodes.keys), 1)
    found = nodes.weigh(one * len(nodes) + two)
    link = associator.link_model
    said = sigmoid(link_log_odds(link, found.terms) + np.float32(link.exclusion))
    who = np.array([person.get(k, -1) for k in nodes.keys])
    use = (said > 0.05) & (found.weight > 0) & ~found.forbidden & (who[one] >= 0) & (who[two] >= 0)
    return reliability(said[use], (who[one] == who[two])[use]).error


def measure(
    cache: Path, truth: Mapping[str, Table], sets: Sets, frames: tuple[int, int] | None, partial: list[str]
) -> tuple[dict[str, float], Walked]:
    """Figures of one variant."""
    walked = walk(cache, changed(cache, sets))
    seen = {camera: looked_at(table_, walked, camera) for camera, table_ in truth.items()}
    ids = walked.replay.identities
    boxes = {c: table(walked, {k: g for k, (g, _) in ids.items()}, c) for c in truth}
    person = names(walked, seen)
    count, right = honesty(ids, person)
    every, near = errors(walked, person)
    found = evaluate_multicam(boxes, seen, frames=frames, partial=partial).combined
    return {
        "IDF1": found.idf1,
        "HOTA": found.hota,
        "sure links": count,
        "sure right": right,
        "ECE": every,
        "ECE of p > .05": near,
        "ECE as decided": decided(walked, person),
    }, walked


def variants(
    cache: Path, truth: Mapping[str, Table], frames: tuple[int, int] | None, partial: list[str], folder: Path
) -> dict[str, dict[str, float]]:
    """Figures of all variants; that of `adapt` is left out where it found nothing better."""
    found: dict[str, dict[str, float]] = {}
    off = {"association.normalise": "off"}
    fixed = off | {"association.link.learn_intercept": False}
    found["intercept not learnt"], _ = measure(cache, truth, fixed, frames, partial)
    found["as the engine gives them"], walked = measure(cache, truth, off, frames, partial)
    found["cameras' means"], _ = measure(cache, truth, {"association.normalise": "camera"}, frames, partial)
    try:
        fitted = fit_site([walked])
    except DataError as error:
        print(f"    adapt: {str(error)[:100]}")
        return found
    if fitted.adaptation is not None:
        fitted.adaptation.save(folder / "site.npz")
        sets = {"association.adaptation": str(folder / "site.npz")}
        found[f"adapted, whitened by {fitted.strength:g}"], _ = measure(cache, truth, sets, frames, partial)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", help="SCENE=CACHE, or CACHE with --truth")
    parser.add_argument("--truth", action="append", default=[], help="CAMERA=FILE")
    parser.add_argument("--frames", default=None, help="FIRST:LAST")
    parser.add_argument("--partial", action="append", default=[])
    add_json(parser, "honesty")
    o = parser.parse_args()
    logging.disable(logging.WARNING)
    frames = tuple(int(f) for f in o.frames.split(":")) if o.frames else None
    figures: dict[str, Any] = {}
    print(f"{'':42} {'IDF1':>6} {'HOTA':>6}  p >= .9: links, right   ECE all / p > .05 / as decided")
    for item in o.scenes:
        scene, _, cache = item.rpartition("=")
        files = (
            dict(t.split("=", 1) for t in o.truth)
            if o.truth
            else {p.stem: str(p) for p in sorted((Path(scene) / "truth").glob("*.txt"))}
        )
        truth = {camera: read_mot(file) for camera, file in files.items()}
        with TemporaryDirectory() as folder:
            found = variants(Path(cache), truth, frames, o.partial, Path(folder))
        label = Path(cache).name
        for name, f in found.items():
            print(
                f"{label:14} {name:27} {f['IDF1']:6.3f} {f['HOTA']:6.3f}  {f['sure links']:8} {f['sure right']:.3f}"
                f"        {f['ECE']:.4f} / {f['ECE of p > .05']:.3f} / {f['ECE as decided']:.3f}",
                flush=True,
            )
        figures[label] = {k: {n: float(np.float64(v)) for n, v in f.items()} for k, f in found.items()}
    save_asked(o, figures, seed=0)


if __name__ == "__main__":
    main()
