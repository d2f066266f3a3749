"""A browser, and a site that it looks at: an RTSP camera and a recording that plays again and again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamreid import Config, Pipeline, run
from tests.support import browser as browsers
from tests.support import rtsp_camera
from tests.support import web as sites

pytest.importorskip("playwright")
pytest.importorskip("jinja2")
pytest.importorskip("wsproto")


@pytest.fixture(scope="session")
def browser() -> Iterator[browsers.Browser]:
    """One Chromium for all tests."""
    reason = browsers.missing()
    if reason is not None:
        pytest.skip(reason)
    started = browsers.Browser()
    yield started
    started.close()


@pytest.fixture
def visit(browser: browsers.Browser) -> Callable[..., Any]:
    """``visit(act, width=390, dark=True)``: call ``act(page)`` with a fresh page, in the browser's thread. A message in
    its console that ``errors`` does not name fails the test."""
    return browser.visit


@pytest.fixture(scope="session")
def axe() -> Callable[[Any], list[str]]:
    """Serious findings of axe on a page."""
    if not Path(os.environ.get(browsers.AXE, "")).is_file():
        pytest.skip(f"needs axe.min.js of the npm package axe-core (set {browsers.AXE} to its path)")
    return browsers.axe_findings


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``entrance.mp4`` (people 0 and 1) and ``hall.mp4`` (people 1 and 2)."""
    folder = tmp_path_factory.mktemp("films")
    sites.write_film(folder / "entrance.mp4", [0, 1])
    sites.write_film(folder / "hall.mp4", [1, 2])
    return folder


@pytest.fixture(scope="session")
def site_config(films: Path) -> Iterator[Config]:
    """Two live cameras: ``entrance``, by RTSP where the server of the tests can run, and ``hall``, a recording."""
    entrance: dict[str, Any] = {"uri": str(films / "entrance.mp4"), "live": True, "repeat": 10_000}
    hall = {"name": "hall", "uri": str(films / "hall.mp4"), "live": True, "repeat": 10_000}
    server = None
    if rtsp_camera.missing() is None:
        server = rtsp_camera.RtspCamera("--clip", str(films / "entrance.mp4"), "--seconds", "1800")
        entrance = {"uri": server.uri}
    yield Config.from_dict({"cameras": [{"name": "entrance", **entrance}, hall], "engine": {"model": "none"}})
    if server is not None:
        server.kill()


@pytest.fixture(scope="session")
def live_site(site_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.LiveRun]:
    """A live run with its page; tests leave its cameras as they are."""
    with sites.LiveRun(site_config, tmp_path_factory.mktemp("live") / "run") as site:
        yield site


@pytest.fixture(scope="session")
def finished_run(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that is over, of both recordings."""
    cameras = [{"name": name, "uri": str(films / f"{name}.mp4")} for name in ("entrance", "hall")]
    config = Config.from_dict({"cameras": cameras, "engine": {"model": "none"}})
    folder = tmp_path_factory.mktemp("finished") / "run"
    with Pipeline(config, detector=sites.ColourDetector(), embedder=sites.ColourEmbedder()) as pipeline:
        run(pipeline, folder)
    return folder


@pytest.fixture(scope="session")
def finished_site(finished_run: Path) -> Iterator[str]:
    """Address of the page of that run."""
    with sites.finished_page(finished_run) as address:
        yield address
