"""Do two versions of the program give the same results? Ids, boxes and link probabilities of eleven recordings,
compared line by line.

    # once, minutes
    python benchmarks/same_results.py record WORK --pets FOLDER --vtest CLIP --people REID_FOLDER --detector
    yolo11n.onnx
    # per version
    python benchmarks/same_results.py replay WORK OUT [--checkout OTHER_CHECKOUT]
    # exit code 1 if any differ
    python benchmarks/same_results.py compare OUT_A OUT_B

``record`` makes the recordings and their caches, with the detector and the shipped engine: the PETS09 pair, with and
without calibration; vtest.avi; two generated scenes, with and without calibration; a clip played as a live camera.
``replay`` follows each cache again in a process of its own, also with a delay, offline, and twice with one gallery, as
after a restart. Detector and engine are thus the same for both versions, and so is what the comparison says about
tracking, association, ground, gallery and sinks. It only uses commands that have existed since version 0.1.0.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import yaml
from _results import add_json, save_asked

KEYS = {
    "person": (
        "camera",
        "frame",
        "time",
        "box",
        "score",
        "track_id",
        "global_id",
        "link_probability",
        "visibility",
        "world",
    ),
    "event": ("kind", "time", "global_id", "camera", "track_id", "probability", "other_id"),
    "identity": ("global_id", "members", "probability"),
}
"""What is compared of each kind of line in results.jsonl; lines of other kinds (header, end) are not."""

REPLAYS = {
    "pets": ("pets", []),
    "pets-delay": ("pets", ["--delay", "2"]),
    "pets-offline": ("pets", ["--offline"]),
    "pets-ground": ("pets-ground", []),
    "vtest": ("vtest", []),
    "vtest-delay": ("vtest", ["--delay", "1"]),
    "scene": ("scene", []),
    "scene-offline": ("scene", ["--offline"]),
    "scene-ground": ("scene-ground", []),
    "live": ("live", []),
    "gallery-first": ("pets", ["--gallery"]),
    "gallery-again": ("pets", ["--gallery"]),
}
"""Name of a comparison: the cache, and the options of its replay. The last two share a gallery, in this order."""


def streamreid(checkout: Path, *words: str | Path) -> None:
    """Run a command of a checkout; exit code 3 (a live camera that ended) is no failure."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-m", "streamreid", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=checkout,
    )
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout[-1000:]}{done.stderr[-3000:]}")


def configurations(work: Path, options: argparse.Namespace, scene: dict) -> dict[str, dict]:
    """The YAML of each recording."""
    pets = [{"name": n, "uri": str(options.pets / f"{n}.mp4")} for n in ("cam001", "cam005")]
    views = {"cam001": "View_001.xml", "cam005": "View_005.xml"}
    plain = [{k: v for k, v in camera.items() if k != "calibration"} for camera in scene["cameras"]]
    return {
        "pets": {"cameras": pets},
        "pets-ground": {"cameras": [c | {"calibration": str(options.pets / views[c["name"]])} for c in pets]},
        "vtest": {"cameras": [{"name": "vtest", "uri": str(options.vtest)}]},
        "scene": {"cameras": plain},
        "scene-ground": {"cameras": scene["cameras"]},
        "live": {"cameras": [{"name": "vtest", "uri": str(options.vtest), "live": True, "frames": 150}]},
    }


def record(options: argparse.Namespace) -> None:
    """Make the recordings and their caches."""
    work, here = options.work.resolve(), Path(__file__).resolve().parents[1]
    work.mkdir(parents=True, exist_ok=True)
    scene = work / "scene-videos"
    if not scene.exists():
        streamreid(
            here,
            "synth",
            options.people,
            "--out",
            scene,
            "--people",
            12,
            "--cameras",
            3,
            "--level",
            "heavy",
            "--fps",
            4,
            "--seed",
            7,
        )
    cameras = yaml.safe_load((scene / "cams.yaml").read_text())
    for camera in cameras["cameras"]:
        for key in ("uri", "calibration"):
            if isinstance(camera.get(key), str):
                camera[key] = str(scene / camera[key])
    for name, data in configurations(work, options, cameras).items():
        if (work / "caches" / name).exists():
            continue
        path = work / f"{name}.yaml"
        path.write_text(yaml.safe_dump(data | {"detector": {"model": str(options.detector)}}))
        streamreid(
            here,
            "run",
            "--sources",
            path,
            "--cache",
            work / "caches" / name,
            "--out",
            work / "runs" / name,
            "--overwrite",
            "-q",
        )
        print(name, flush=True)


def replay(options: argparse.Namespace) -> None:
    """Follow every cache again and keep the lines that are compared."""
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    gallery = out / "gallery.db"
    for old in out.glob("gallery.db*"):
        old.unlink() if old.is_file() else shutil.rmtree(old)
    for name, (cache, words) in REPLAYS.items():
        extra = [*words, gallery] if "--gallery" in words else words
        streamreid(
            options.checkout.resolve(),
            "replay",
            options.work.resolve() / "caches" / cache,
            "--out",
            out / name,
            "--overwrite",
            "-q",
            *extra,
        )
        lines = [json.loads(line) for line in (out / name / "results.jsonl").read_text().splitlines()]
        kept = [{"type": i["type"], **{k: i.get(k) for k in KEYS[i["type"]]}} for i in lines if i["type"] in KEYS]
        (out / f"{name}.jsonl").write_text("".join(json.dumps(i) + "\n" for i in kept))
        print(name, len(kept), "lines", flush=True)


def compare(options: argparse.Namespace) -> int:
    """Print, per recording, how many lines differ and which is the first."""
    different, figures = 0, {}
    for name in REPLAYS:
        a, b = ((folder / f"{name}.jsonl").read_text().splitlines() for folder in (options.a, options.b))
        rows = [(i, x, y) for i, (x, y) in enumerate(zip_longest(a, b)) if x != y]
        different += bool(rows)
        figures[name] = {"lines": len(a), "differ": len(rows)}
        print(f"{name:16} {len(a):6} lines  {'same' if not rows else f'{len(rows)} differ'}")
        for i, x, y in rows[:1]:
            print(f"  first, line {i + 1}:\n  - {x}\n  + {y}")
    save_asked(options, figures)
    return 1 if different else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("record")
    verb.add_argument("work", type=Path)
    for name in ("pets", "vtest", "people", "detector"):
        verb.add_argument(f"--{name}", type=lambda p: Path(p).resolve(), required=True)
    verb = verbs.add_parser("replay")
    verb.add_argument("work", type=Path)
    verb.add_argument("out", type=Path)
    verb.add_argument("--checkout", type=Path, default=Path(__file__).resolve().parents[1])
    verb = verbs.add_parser("compare")
    verb.add_argument("a", type=Path)
    verb.add_argument("b", type=Path)
    add_json(verb, "same_results")
    options = parser.parse_args()
    return {"record": record, "replay": replay, "compare": compare}[options.verb](options) or 0


if __name__ == "__main__":
    sys.exit(main())
