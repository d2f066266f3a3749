"""Pictures of every page for the documentation, of drawn people: ``docs/figures/page-NAME.jpg``.

    python benchmarks/screenshots.py [--out docs/figures] [--dark] [--only live,people]

Three streets are drawn through which the same people walk, followed by a run with the shipped engine; its page is shown
by Chromium (Debian: chromium). Pages that only a live run has are taken of a run that goes on in the same streets.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
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

ASKED = {"live": "?time=7.5", "search": "?like=1", "places": "/shop?heat=1"}
"""What is asked of a page beside its name."""

FRAMES, LAPS, RATE = 80, 3, 10
WIDTH, QUALITY = 1200, 72


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
            for number in range(LAPS * FRAMES):
                image, boxes = walk[number % FRAMES]
                for left, top, right, bottom in boxes.tolist():
                    if right - left > 12:
                        lines.append(
                            f"{number + 1},-1,{left:.1f},{top:.1f},{right - left:.1f},{bottom - top:.1f},0.9,-1,-1,-1"
                        )
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                film.mux(stream.encode(frame))
            film.mux(stream.encode())
        (folder / "boxes" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return [{"name": name, "uri": f"{name}.mp4"} for name in STREETS]


def take(browser: Browser, address: str, names: list[str], args: argparse.Namespace) -> list[str]:
    """Pictures of the pages of a site; the names of those that it has."""

    def act(page: Any) -> list[str]:
        page.goto(f"{address}/page/")
        links = page.locator("header nav a").evaluate_all("links => links.map((link) => link.pathname)")
        taken = []
        for name in [link.rpartition("/")[2] for link in links]:
            if name not in names:
                continue
            page.goto(f"{address}/page/{name}{ASKED.get(name, '')}")
            page.wait_for_timeout(2500)
            page.wait_for_function("[...document.images].every((image) => image.complete)")
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.save(args.out / f"page-{name}.jpg", quality=QUALITY, optimize=True)
            taken.append(name)
        return taken

    return list(browser.visit(act, width=WIDTH, dark=args.dark))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--only", default="live,people,search,places,cameras,review,run", help="names of pages")
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
            taken = take(browser, address, wanted, args)
        rest = [name for name in wanted if name not in taken]
        if rest:
            live = Config.from_dict({**base, "cameras": [{**camera, "live": True} for camera in cameras]})
            with LiveRun(live, folder / "live", by_colour=False) as site:
                taken += take(browser, site.address, rest, args)
    print("taken:", ", ".join(taken))


if __name__ == "__main__":
    main()
