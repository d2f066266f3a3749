"""Pictures of every page for the documentation, of drawn people: ``docs/figures/page-NAME.jpg``.

    python benchmarks/screenshots.py [--out docs/figures] [--dark] [--width 390] [--only live,people]

Three streets are drawn through which the same people walk, followed by a run with the shipped engine; its page is shown
by Chromium (Debian: chromium). Pages that only a live run has are taken of a run that goes on in the same streets.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import _root  # noqa: F401
import av
from PIL import Image

from streamreid import Config, Pipeline, run
from streamreid.drawn_people import drawn_walk
from tests.support.browser import Browser, missing
from tests.support.web import LiveRun, finished_page

STREETS = {"gate": (1, 2, 3), "street": (3, 1, 4), "shop": (2, 4, 5)}
"""People who walk through each street."""

FINISHED = {
    "live": "live?time=7.5",
    "people": "people",
    "person": "people/3",
    "search": "search?time=7.5",
    "places": "places/shop?heat=1",
    "review": "review",
    "run": "run",
}
"""Pages of a run that is over, by the name of their picture."""

LIVE = {"cameras": "cameras", "draw": "places/shop"}
"""Those of a run that goes on."""

FRAMES, LAPS, RATE = 80, 3, 10
REPEATS = 20
"""How often a live run may play the films: there are boxes for all of them."""

WIDTH, QUALITY = 1200, 72

READY = """() => [...document.images].every((image) => image.complete || image.loading === "lazy") &&
  [...document.querySelectorAll("camera-view")].every((view) => view.dataset.time)"""
"""Whether all pictures of a page are there."""


def draw(folder: Path) -> list[dict[str, Any]]:
    """Films of the streets and the boxes of their people; the cameras of a cameras file."""
    (folder / "boxes").mkdir(parents=True)
    for place, (name, people) in enumerate(STREETS.items()):
        lines = []
        with av.open(str(folder / f"{name}.mp4"), "w") as film:
            options = {"preset": "veryfast", "tune": "zerolatency", "crf": "23", "g": str(RATE), "bf": "0"}
            stream = film.add_stream("libx264", rate=RATE, options=options)
            stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
            walk = list(drawn_walk(people, FRAMES, place=place))
            for number in range(REPEATS * LAPS * FRAMES):
                for left, top, right, bottom in walk[number % FRAMES][1].tolist():
                    if right - left > 12:
                        lines.append(
                            f"{number + 1},-1,{left:.1f},{top:.1f},{right - left:.1f},{bottom - top:.1f},0.9,-1,-1,-1"
                        )
            for number in range(LAPS * FRAMES):
                image = walk[number % FRAMES][0]
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                film.mux(stream.encode(frame))
            film.mux(stream.encode())
        (folder / "boxes" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return [{"name": name, "uri": f"{name}.mp4"} for name in STREETS]


def take(browser: Browser, address: str, pages: Mapping[str, str], args: argparse.Namespace) -> None:
    """Pictures of pages of a site, by the name of the picture."""

    def act(page: Any) -> None:
        for name, path in pages.items():
            page.goto(f"{address}/page/{path}")
            page.wait_for_selector("#connection:has-text('connected')")
            page.wait_for_timeout(500)
            page.wait_for_function(READY)
            page.wait_for_timeout(500)
            picture = Image.open(io.BytesIO(page.screenshot(full_page=args.full))).convert("RGB")
            picture.save(args.out / f"page-{name}.jpg", quality=QUALITY, optimize=True)
            print("taken:", name)

    browser.visit(act, width=args.width, dark=args.dark)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=WIDTH, help="of the window, in pixels")
    parser.add_argument("--full", action="store_true", help="all of each page, not only what a window shows")
    parser.add_argument("--only", default=",".join([*FINISHED, *LIVE]), help="names of pictures")
    args = parser.parse_args()
    reason = missing()
    if reason is not None:
        raise SystemExit(reason)
    wanted = args.only.split(",")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cameras = draw(folder)
        args.out = args.out.resolve()
        os.chdir(folder)  # addresses of cameras are shown
        zone = {"name": "counter", "camera": "shop", "polygon": [[0.1, 0.5], [0.6, 0.5], [0.6, 1], [0.1, 1]]}
        base = {"detector": {"model": f"mot:{folder / 'boxes'}"}, "zones": [zone]}
        with Pipeline(Config.from_dict({**base, "cameras": cameras})) as pipeline:
            run(pipeline, folder / "run")
        browser = Browser()
        stack.callback(browser.close)
        with finished_page(folder / "run", corrections=True) as address:
            take(browser, address, {name: path for name, path in FINISHED.items() if name in wanted}, args)
        rest = {name: path for name, path in LIVE.items() if name in wanted}
        if rest:
            playing = [{**camera, "live": True, "repeat": REPEATS} for camera in cameras]
            live = Config.from_dict({**base, "cameras": playing})
            with LiveRun(live, folder / "live", by_colour=False) as site:
                take(browser, site.address, rest, args)


if __name__ == "__main__":
    main()
