"""The README's picture: one moment of `streamreid demo`, with the heads of all people pixelated.

python benchmarks/figure.py [--engine BUNDLE] [--out docs/figures/demo.jpg] [--second 1.1]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import av
import cv2

from streamreid import Pipeline, weights
from streamreid.config import CameraConfig, OutputConfig
from streamreid.runs import run
from streamreid.sinks import DrawStyle, render_videos
from streamreid.sources import open_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "figures" / "demo.jpg")
    parser.add_argument("--second", type=float, default=1.1)
    options = parser.parse_args()
    videos = sorted(p for p in weights.fetch(["demo-videos", "yolo11n"]) if p.suffix == ".mp4")
    with (
        tempfile.TemporaryDirectory() as name,
        Pipeline.from_sources(*videos, engine={"model": options.engine}) as pipeline,
    ):
        folder = Path(name)
        run(pipeline, folder)
        sources = {
            c.name: (lambda c=c: open_source(CameraConfig(name=c.name, uri=c.uri))) for c in pipeline.config.cameras
        }
        (film,) = render_videos(sources, folder, OutputConfig(mosaic=True), style=DrawStyle(blur="head"))
        with av.open(str(film)) as container:
            picture = next(f for f in container.decode(video=0) if float(f.time or 0) >= options.second).to_ndarray(
                format="bgr24"
            )
    picture = cv2.resize(
        picture, None, fx=1280 / picture.shape[1], fy=1280 / picture.shape[1], interpolation=cv2.INTER_AREA
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), picture, [cv2.IMWRITE_JPEG_QUALITY, 82])
    print(options.out, options.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
