"""Is everybody hidden? Generated scenes with exact boxes are run with `output.blur`, and every visible person is looked
for in the films, both in those drawn after the run and in those that a live camera would have given.

    python benchmarks/blur.py ../shared/data/reid/cuhk03 --detector ../shared/data/weights/yolox_nano.onnx

A person-frame is one person in one frame of whom at least `--least` of the body can be seen; with `faces`, one
whose head (the upper sixth of the body) can be seen. It is unblurred where the film shows the fine detail of the source
inside the box around what can be seen: the correlation of both, without their coarse content, is above .4 (an ordinary
film has .9, a blurred one about 0). People whom the detector gave no box within a second, whatever its score, are
missed and listed apart: a second before and after in films drawn afterwards, a second before in live ones, which cannot
know the future.

`detail_lost` is the share of the detail outside people (with `faces`, outside heads) that the film
does not show, by the same measure: lower is better.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import yaml
from _results import add_json, save_asked
from numpy.typing import NDArray

CLEAR = 0.4
"""Correlation of fine detail from which a person counts as unblurred."""
AROUND = 1.0
"""Seconds within which a box of the detector says that somebody was detected."""
SAME = 0.3
"""Least IoU of the detector's box and the one around what can be seen."""
HEAD = 1 / 6
"""Share of the body's height that is the head."""
EDGE = 3
"""Pixels around people that count as theirs: their outline."""
AREA = (9, 9)
"""Pixels around each in which detail that is there before and after is compared."""
LEAST = 6
"""Pixels of width and height from which somebody counts."""

Rows = dict[int, list[tuple[int, float, float, float, float, float]]]
Boxes = dict[int, list[tuple[float, float, float, float, int, float]]]


def read_rows(path: Path) -> Rows:
    """Frame -> (person, left, top, right, bottom, last column) of MOT text."""
    rows: Rows = defaultdict(list)
    for line in path.read_text().splitlines():
        frame, person, left, top, width, height, *rest = (float(v) for v in line.split(","))
        rows[int(frame)].append((int(person), left, top, left + width, top + height, rest[-1]))
    return rows


def pictures(path: Path) -> Iterator[NDArray[np.float32]]:
    """Grey pictures without their coarse content."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            grey = frame.to_ndarray(format="gray").astype(np.float32)
            yield grey - cv2.blur(grey, (5, 5))


def alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Correlation of two patches; 0 where either has no detail."""
    norm = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / norm if norm > one.size else 0.0


def overlap(box: tuple[float, ...], boxes: NDArray[np.float64]) -> float:
    """Greatest IoU of a box with others."""
    if not len(boxes):
        return 0.0
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    common = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2] - box[0]) * (box[3] - box[1]) - common
    return float((common / areas).max())


def detected(boxes: Rows, visible: Rows, fps: float, *, live: bool) -> set[tuple[int, int]]:
    """(frame, person) of everybody for whom the detector gave a box within `AROUND`; live, up to that frame."""
    reach = round(AROUND * fps)
    hits = defaultdict(set)
    for frame, rows in visible.items():
        found = np.array([row[1:5] for row in boxes.get(frame, [])], np.float64).reshape(-1, 4)
        for row in rows:
            if overlap(row[1:5], found) >= SAME:
                hits[row[0]].add(frame)
    return {
        (frame, row[0])
        for frame, rows in visible.items()
        for row in rows
        if any(f in hits[row[0]] for f in range(frame - reach, frame + (0 if live else reach) + 1))
    }


def to_hide(visible: Rows, truth: Rows, *, faces: bool) -> Boxes:
    """Frame -> (left, top, right, bottom, person, visible share) of what must not be seen."""
    wanted: Boxes = defaultdict(list)
    for frame, rows in visible.items():
        bodies = {row[0]: row for row in truth.get(frame, [])}
        for person, left, top, right, bottom, share in rows:
            _, _, high, _, low, _ = bodies.get(person, (person, left, top, right, bottom, share))
            bottom = min(bottom, high + (low - high) * HEAD) if faces else bottom
            if bottom > top:
                wanted[frame].append((left, top, right, bottom, person, share))
    return wanted


def compare(
    camera: str, films: tuple[Path, Path], wanted: Boxes, seen: set[tuple[int, int]], least: float
) -> tuple[Counter[str], list[tuple[str, int, int, float]]]:
    """Look for everybody in a film: counts, and camera, frame, person and correlation of who can be seen.

    Args:
        camera: Its name, for the examples.
        films: What was filmed, and what was written of it, frame by frame.
        wanted: What must not be seen.
        seen: Who was detected.
        least: Visible share from which somebody counts.
    """
    count: Counter[str] = Counter()
    examples = []
    for number, (clear, shown) in enumerate(zip(pictures(films[0]), pictures(films[1]), strict=True), 1):
        people = np.zeros(clear.shape, bool)
        for left, top, right, bottom, person, share in wanted.get(number, []):
            rows, columns = slice(max(0, round(top)), round(bottom)), slice(max(0, round(left)), round(right))
            edge = np.array([rows.start - EDGE, rows.stop + EDGE, columns.start - EDGE, columns.stop + EDGE]).clip(0)
            people[edge[0] : edge[1], edge[2] : edge[3]] = True
            patch = clear[rows, columns]
            if share < least or min(patch.shape) < LEAST:
                continue
            found, missed = alike(patch, shown[rows, columns]), (number, person) not in seen
            count.update(visible=1, missed=int(missed))
            if found >= CLEAR:
                count["unblurred_missed" if missed else "unblurred"] += 1
                examples += [] if missed else [(camera, number, person, round(found, 2))]
        detail = (cv2.blur(np.abs(clear), AREA) > 2) & ~people
        norm = np.sqrt(cv2.blur(clear * clear, AREA) * cv2.blur(shown * shown, AREA))
        kept = cv2.blur(clear * shown, AREA) >= CLEAR * np.maximum(norm, 1e-6)
        count.update(detail=int(detail.sum()), lost=int((detail & ~kept).sum()))
    return count, examples


def store_boxes(scene: Path, folder: Path, model: str) -> None:
    """What the detector finds in every frame, of any score, as MOT text, so that it looks only once."""
    from streamreid.config import Config
    from streamreid.detection import open_detector
    from streamreid.sources import open_source

    config = Config.from_dict({"cameras": cameras_of(scene), "detector": {"model": model}})
    detector = open_detector(config.detector)
    folder.mkdir(parents=True)
    for camera in config.cameras:
        lines = []
        with open_source(camera) as source:
            for frame in source:
                found = detector([frame])[0]
                for (left, top, right, bottom), score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
                    place = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
                    lines.append(f"{frame.index + 1},-1,{place},{score:.4f},-1,-1,-1\n")
        (folder / f"{camera.name}.txt").write_text("".join(lines))


def cameras_of(scene: Path) -> list[dict[str, str]]:
    """Cameras of a scene for a configuration."""
    cameras = yaml.safe_load((scene / "cams.yaml").read_text())["cameras"]
    return [{"name": camera["name"], "uri": str((scene / camera["uri"]).resolve())} for camera in cameras]


def run(scene: Path, boxes: Path, out: Path, blur: str, *, live: bool) -> None:
    """Write films of a scene: those drawn after the run, or those that a live camera gives, frame by frame."""
    from streamreid import Pipeline
    from streamreid.config import Config
    from streamreid.sinks import VideoSink, draw_style
    from streamreid.sinks.base import FinalIdentities

    setting = {"cameras": cameras_of(scene), "detector": {"model": f"mot:{boxes}"}, "output": {"blur": blur}}
    if live:
        config = Config.from_dict(setting)
        films = VideoSink(out / "videos", draw_style(config.output), drop=False)
        with Pipeline(config) as pipeline:
            for result in pipeline:
                films.write(result)
        films.close(FinalIdentities())
        return
    out.mkdir(parents=True, exist_ok=True)
    setting["output"] = {"blur": blur, "video": True}
    (out / "run.yaml").write_text(yaml.safe_dump(setting))
    words = ["run", "--sources", str(out / "run.yaml"), "--out", str(out), "--overwrite", "--quiet"]
    subprocess.run([sys.executable, "-m", "streamreid", *words], check=True, stdout=subprocess.DEVNULL, env=os.environ)


def measure(scene: Path, boxes: Path, out: Path, blur: str, *, live: bool, least: float) -> dict[str, float]:
    """Run a scene and count."""
    run(scene, boxes, out, blur, live=live)
    total: Counter[str] = Counter()
    for camera in sorted(p.stem for p in (scene / "visible").glob("*.txt")):
        visible, truth = (read_rows(scene / kind / f"{camera}.txt") for kind in ("visible", "truth"))
        with av.open(str(scene / f"{camera}.mp4")) as film:
            fps = float(film.streams.video[0].average_rate or 10)
        seen = detected(read_rows(boxes / f"{camera}.txt"), visible, fps, live=live)
        films = scene / f"{camera}.mp4", out / "videos" / f"{camera}.mp4"
        count, examples = compare(camera, films, to_hide(visible, truth, faces=blur == "faces"), seen, least)
        total += count
        for example in examples:
            print("unblurred: camera {}, frame {}, person {}, correlation {}".format(*example))
    names = ("visible", "missed", "unblurred", "unblurred_missed")
    return {name: total[name] for name in names} | {"detail_lost": round(total["lost"] / max(total["detail"], 1), 4)}


def main() -> None:
    """Print the counts and store them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of person pictures (Market-1501 names)")
    parser.add_argument("--detector", default="yolox-nano")
    parser.add_argument("--scene", type=Path, help="a scene of `streamreid synth` that is there already")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=70)
    parser.add_argument("--level", default="heavy")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--blur", default=["people", "faces"], nargs="+", choices=["people", "faces", "none"])
    parser.add_argument("--when", default=["afterwards", "live"], nargs="+", choices=["afterwards", "live"])
    parser.add_argument("--least", type=float, default=0.1, help="visible share of the body from which somebody counts")
    parser.add_argument("--boxes", type=Path, help="the detector's boxes of this scene, kept here for the next time")
    parser.add_argument("--out", type=Path, help="keep the films here")
    add_json(parser, "blur")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scene = args.scene or Path(temporary) / "scene"
        if args.scene is None:
            names = ("people", "cameras", "seconds", "level", "seed")
            shape = [word for name in names for word in (f"--{name}", str(getattr(args, name)))]
            program = [sys.executable, "-m", "streamreid", "synth", str(args.images), "--out", str(scene), *shape]
            subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
        boxes, out = args.boxes or Path(temporary) / "boxes", args.out or Path(temporary) / "out"
        if not boxes.is_dir():
            store_boxes(scene, boxes, args.detector)
        figures: dict[str, float] = {}
        for blur in args.blur:
            for when in args.when:
                found = measure(scene, boxes, out / f"{blur}-{when}", blur, live=when == "live", least=args.least)
                print(f"{blur}, {when}:", ", ".join(f"{name} {value}" for name, value in found.items()), flush=True)
                figures |= {f"{blur}.{when}.{name}": value for name, value in found.items()}
    args.json = args.json or True  # written in any case
    save_asked(args, figures)


if __name__ == "__main__":
    main()
