"""People followed on the ground by calibrated cameras, without pictures: world IDF1 and MOTA within one metre.

    python benchmarks/geometry.py --cmc FOLDER [--scene NAME=FOLDER ...]

``--cmc`` is a folder with DET_CMC<n>_Cam<c>.txt, GT_CMC<n>_WORLD_CENTROID.txt and cam_mats.npz (4 cameras, 1920x1024, 4
frames per second). Only the part of the room with ground truth counts, as in that data set: x from 2.03 to 6.3, y from
0 to 3.41. ``--scene`` is a folder of ``streamreid synth``, whose own detections are used. Everything runs through
``streamreid run`` with ``engine: none``; world.txt is scored.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from _results import add_json, save_asked

from streamreid import Pipeline
from streamreid.config import Config, load_config
from streamreid.evaluation import evaluate_world
from streamreid.runs import run

CMC_AREA = ((2.03, 0.0), (6.3, 0.0), (6.3, 3.41), (2.03, 3.41))


def cmc(folder: Path, scene: int) -> tuple[Config, Path]:
    """Configuration and truth of a CMC scene."""
    cameras = [
        {
            "name": f"DET_CMC{scene}_Cam{c}",
            "uri": str(folder / f"DET_CMC{scene}_Cam{c}.txt"),
            "fps": 4,
            "size": (1920, 1024),
            "calibration": f"{folder / 'cam_mats.npz'}:cam{c}",
        }
        for c in (1, 2, 3, 4)
    ]
    return _config(cameras, folder, {"area": CMC_AREA}), folder / f"GT_CMC{scene}_WORLD_CENTROID.txt"


def generated(folder: Path) -> tuple[Config, Path]:
    """Configuration and truth of a folder of ``streamreid synth``."""
    cameras = [c.model_dump() for c in load_config(folder / "cams.yaml").cameras]
    for camera in cameras:  # the boxes alone, so that decoding is not part of the time
        scene = json.loads((folder / "scene.json").read_text(encoding="utf-8"))["config"]
        camera |= {
            "uri": str(folder / "detections" / f"{camera['name']}.txt"),
            "fps": scene["fps"],
            "size": (scene["width"], scene["height"]),
        }
    return _config(cameras, folder / "detections", {}), folder / "world.txt"


def _config(cameras: list[dict[str, Any]], boxes: Path, ground: dict[str, Any]) -> Config:
    sections = {"detector": {"model": f"mot:{boxes}"}, "engine": {"model": "none"}, "ground": ground}
    return Config.from_dict({"cameras": cameras, **sections})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cmc", type=Path)
    parser.add_argument("--scene", action="append", default=[], help="NAME=FOLDER")
    add_json(parser, "geometry")
    args = parser.parse_args()
    figures = {}
    jobs = {f"cmc{scene}": cmc(args.cmc, scene) for scene in (1, 2)} if args.cmc else {}
    jobs |= {name: generated(Path(folder)) for name, _, folder in (item.partition("=") for item in args.scene)}
    print(
        f"{'scene':12} {'IDF1':>6} {'MOTA':>6} {'HOTA':>6} {'FP':>5} {'FN':>5} {'IDSW':>5} {'error m':>8} "
        f"{'frames/s':>9}"
    )
    for name, (config, truth) in jobs.items():
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            with Pipeline(config) as pipeline:
                summary = run(pipeline, Path(folder))
            rate = summary.frames / (time.perf_counter() - begin)
            found = evaluate_world(Path(folder) / "world.txt", truth, radius=1.0)
        s = found.scores
        figures[name] = {"IDF1": s.idf1, "MOTA": s.mota, "HOTA": s.hota, "switches": s.idsw}
        figures[name] |= {"error_m": found.mean_distance, "frames_per_second": rate}
        print(
            f"{name:12} {s.idf1:6.3f} {s.mota:6.3f} {s.hota:6.3f} {s.fp:5} {s.fn:5} {s.idsw:5} "
            f"{found.mean_distance:8.2f} {rate:9.0f}",
            flush=True,
        )
    save_asked(args, figures)


if __name__ == "__main__":
    main()
