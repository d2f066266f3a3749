"""A picture that somebody drops on the page: who of the gallery looks like it."""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from PIL import Image, UnidentifiedImageError

from streamreid.errors import ConfigError
from streamreid.runs.gallery_search import search_gallery
from streamreid.serving.worker_pool import WorkerPool
from streamreid.types import Image as Picture
from streamreid.web.site_view import SiteView

__all__ = ["add_picture_search", "checked_picture"]

MOST_PIXELS = 25_000_000
"""Of a picture, before it is unpacked."""

_FORMATS = ("JPEG", "PNG")

_SECONDS = 60.0
"""Seconds that a search may take, with loading the engine."""


def checked_picture(data: bytes) -> Picture:
    """A picture that was sent, ``[H, W, 3]`` uint8 BGR.

    Raises:
        ConfigError: It is none, or too large. What is too large is not unpacked.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise ConfigError(
                    f"the picture has {width}x{height} pixels; at most {MOST_PIXELS / 1e6:g} million are taken: cut "
                    "the person out"
                )
            return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])
    except Image.DecompressionBombError:
        raise ConfigError("the picture has far too many pixels; cut the person out") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, MemoryError):
        raise ConfigError("this is no picture, or a damaged one; send JPEG or PNG") from None


def add_picture_search(app: FastAPI, site: SiteView) -> None:
    """Add ``POST /uploads/search`` to an application."""
    pool = WorkerPool("searching for a picture", threads=1, waiting=3, seconds=_SECONDS)
    lock = threading.Lock()

    def found(data: bytes) -> dict[str, Any]:
        if site.gallery is None:
            raise ConfigError("pictures can be searched for where the run has a gallery")
        picture = checked_picture(data)
        with lock:
            return search_gallery(picture, gallery=site.gallery, actor="HTTP").as_dict()

    @app.post("/uploads/search")
    async def search(request: Request) -> Response:
        data = await request.body()
        return await pool.run(lambda: JSONResponse(found(data)))
