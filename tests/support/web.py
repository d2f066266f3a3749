"""Sites for tests of the page: generated cameras, and a detector and an embedder that know their people."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from streamreid import Config, Pipeline
from streamreid.runs import run
from streamreid.types import Detections, Frame
from tests.support.colours import GREY, ColourEmbedder

__all__ = [
    "COLOURS",
    "NASTY",
    "ColourDetector",
    "ColourEmbedder",
    "LiveRun",
    "finished_page",
    "gallery_page",
    "write_film",
]

COLOURS = ((40, 40, 220), (40, 200, 40), (220, 60, 40), (40, 210, 210), (210, 50, 210))
"""BGR of the clothes of people 0 to 4."""

NASTY = "<img src=x onerror=alert(1)> & 'Anna'"
"""A name that must be shown as text."""

_LEAST_AREA = 400


def write_film(
    path: Path, people: Sequence[int], *, frames: int = 60, size: tuple[int, int] = (320, 240), rate: int = 10
) -> Path:
    """A recording (H.264, no B frames) in which people of these colours walk to the right and back, each in a lane."""
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "g": str(rate), "bf": "0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            image = np.full((size[1], size[0], 3), GREY, np.uint8)
            for lane, person in enumerate(people):
                way = 2 * min(index, frames - index)
                left, top = 10 + 60 * lane + way, 30 + 25 * lane
                image[top : top + 90, left : left + 32] = COLOURS[person]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class ColourDetector:
    """Finds whatever has a colour."""

    name = "colours"
    fingerprint = "colours"

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        found = []
        for frame in frames:
            blue, green, red = cv2.split(frame.image)
            most, least = cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red)
            coloured = cv2.subtract(most, least) > 60
            _, _, areas, _ = cv2.connectedComponentsWithStats(coloured.astype(np.uint8))
            boxes = [(x, y, x + w, y + h) for x, y, w, h, area in areas[1:] if area >= _LEAST_AREA]
            array = np.array(boxes, np.float32).reshape(-1, 4)
            scores = np.full(len(array), 0.9, np.float32)
            found.append(Detections(array, scores, np.zeros(len(array), np.int64)))
        return found


class LiveRun:
    """A live run in this process, with its interface and its page.

    Args:
        config: Its cameras and settings; ``server.listen`` is a free port if it is not set.
        folder: Results go there.
        listeners: Further sinks.
        by_colour: Find and tell people by their colour, instead of what the configuration says.

    Attributes:
        address: Where it serves.
        pipeline: The run.
    """

    def __init__(self, config: Config, folder: Path, listeners: Sequence[Any] = (), *, by_colour: bool = True) -> None:
        from streamreid.serving import Server
        from streamreid.web import live_page

        server = config.server.model_copy(update={"listen": config.server.listen or "127.0.0.1:0"})
        config = config.model_copy(update={"server": server})
        self.folder = folder
        models: dict[str, Any] = {"detector": ColourDetector(), "embedder": ColourEmbedder()} if by_colour else {}
        self.pipeline = Pipeline(config, stay=True, **models)
        self.server = Server(self.pipeline, config.server, page=live_page)
        self.address = self.server.address
        self._listeners = (*listeners, *self.server.sinks)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> LiveRun:
        self.server.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.pipeline.stop()
        self._thread.join(60)
        self.server.__exit__(None, None, None)
        self.pipeline.close()
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            run(self.pipeline, self.folder, listeners=self._listeners)
        except BaseException as error:
            self.error = error


@contextmanager
def finished_page(folder: Path, *, corrections: bool = False, **server: Any) -> Iterator[str]:
    """Address of the page of a run that is over.

    Args:
        folder: Of its results.
        corrections: Whether who is who can be corrected.
        server: Settings of the section ``server``.
    """
    from streamreid import open_run
    from streamreid.config import ServerConfig
    from streamreid.reports.camera_pictures import CameraPictures
    from streamreid.runs.finished_corrections import FinishedCorrections
    from streamreid.web.finished_app import page_server
    from streamreid.web.finished_view import FinishedView

    finished = open_run(folder)
    made = FinishedCorrections(folder) if corrections else None
    view = FinishedView(finished, CameraPictures(finished), corrections=made)
    with page_server(view, ServerConfig(**{"listen": "127.0.0.1:0", **server})) as listening:
        yield listening.address
        view.close()


@contextmanager
def gallery_page(path: Path) -> Iterator[str]:
    """Address of the page of a gallery."""
    from streamreid.config import ServerConfig
    from streamreid.gallery import Gallery
    from streamreid.reports.camera_pictures import CameraPictures
    from streamreid.reports.histories import gallery_history
    from streamreid.runs.store_corrections import StoreCorrections
    from streamreid.web.finished_app import page_server
    from streamreid.web.finished_view import FinishedView

    with Gallery.open(str(path)) as store:
        history = gallery_history(store)
        view = FinishedView(
            history, CameraPictures(history), title="gallery", corrections=StoreCorrections(store), gallery=store
        )
        with page_server(view, ServerConfig(listen="127.0.0.1:0")) as listening:
            yield listening.address
            view.close()
