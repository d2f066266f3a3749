"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from streamreid import secrets
from streamreid.cli import main
from streamreid.config import Config
from tests.support import crowds as generated_crowds
from tests.support import faults as faulty_network
from tests.support import rtsp_camera
from tests.support.colours import ColourEmbedder
from tests.support.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent

REQUIRE_GPU = "STREAMREID_REQUIRE_GPU"
"""Environment variable: set (to anything but 0) on machines with a GPU, where a GPU test that is skipped is a fault."""


def _gpu_required() -> bool:
    return os.environ.get(REQUIRE_GPU, "0") not in ("", "0")


def _fail_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that says why the test would have been skipped."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"a GPU test was skipped, but {REQUIRE_GPU} is set: {reason}"


RERUNS = 3
"""Further runs of a test that judges by the clock on the wall, before it fails. A fault that stays fails all."""

RERUN_DELAY = 2
"""Seconds before such a run, in which other programs may come to an end."""


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
"""Environment variables that limit the threads of PyTorch, NumPy and OpenCV in a process and those it starts."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[object]) -> None:
    """Test processes that share the cores (pytest-xdist) compute with one thread each, unless the caller says else."""
    if len(specs) > 1:
        for name in THREADS:
            os.environ.setdefault(name, "1")


def pytest_configure() -> None:
    """Hypothesis judges neither examples nor their generation by the clock: the machine may be busy."""
    with suppress(ImportError):
        from hypothesis import HealthCheck, settings

        settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("any-machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``wall_time`` run again when they fail: on a busy machine nothing is sure to happen in time. Of
    several test processes (pytest-xdist) none shall be left alone at the end with a slow test: these come first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if item.get_closest_marker("wall_time"):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, reruns_delay=RERUN_DELAY))


def pytest_collection_finish() -> None:
    """What collecting made and imported stays until the end: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests marked ``gpu`` fail instead of being skipped where a GPU is required."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("gpu") and _gpu_required():
        _fail_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for modules with GPU tests that skip themselves as a whole, for want of a package."""
    report = yield
    if report.skipped and _gpu_required() and "mark.gpu" in collector.path.read_text(encoding="utf-8"):
        _fail_skipped(report)
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the development data (real videos, ground truth, weights); tests that need it are skipped where it is
    absent."""
    folder = Path(os.environ.get("STREAMREID_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the development data: no folder {folder}/data (set STREAMREID_SHARED)")
    return folder


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process hides every secret it ever read; what an earlier test read must not be hidden from the next."""
    for name, empty in (("_known", set()), ("_variants", ()), ("_passwords", OrderedDict()), ("_words", ())):
        monkeypatch.setattr(secrets, name, empty)


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """The command line sets up logging for its whole process; a test that calls it must not silence the next."""
    logger = logging.getLogger("streamreid")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.fixture(autouse=True)
def no_words_of_other_tests(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What threads log that ran before the test (cameras and servers that several tests share) is not what it made
    the program say."""
    others = set(threading.enumerate()) - {threading.current_thread()}

    def own(record: logging.LogRecord) -> bool:
        return threading.current_thread() not in others

    caplog.handler.addFilter(own)
    yield
    caplog.handler.removeFilter(own)


class Scene:
    """A generated recording: coloured people walk through several cameras, with exact boxes beside the videos.

    Args:
        folder: Videos and ``boxes/<camera>.txt`` (MOT text) are written here.
    """

    COLOURS = ((40, 40, 220), (40, 200, 40), (220, 60, 40), (40, 210, 210), (210, 50, 210))

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.boxes = folder / "boxes"
        self.boxes.mkdir(parents=True)

    def camera(
        self,
        name: str,
        people: list[int],
        *,
        frames: int = 40,
        size: tuple[int, int] = (320, 240),
        rate: int = 10,
        hole: range = range(0),
    ) -> Path:
        """Write one camera. ``people`` are numbers of colours, each in a lane of its own; nobody is detected in the
        frames of ``hole``."""
        import av

        path = self.folder / f"{name}.mp4"
        lines = []
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=rate)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.bit_rate = 2_000_000
            for index in range(frames):
                image = np.full((size[1], size[0], 3), 96, np.uint8)
                for lane, person in enumerate(people):
                    left, top = 10 + 40 * lane + 2 * index, 30 + 25 * lane
                    image[top : top + 90, left : left + 32] = self.COLOURS[person]
                    if index not in hole:
                        lines.append(f"{index + 1},-1,{left},{top},32,90,0.9,-1,-1,-1")
                for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        (self.boxes / f"{name}.txt").write_text("\n".join(lines) + ("\n" if lines else ""))
        return path

    def config(self, *videos: Path, **sections: object) -> Config:
        """A configuration that reads the exact boxes and uses no engine."""
        cameras = [{"name": v.stem, "uri": str(v)} for v in videos]
        return Config.from_dict(
            {"cameras": cameras, "detector": {"model": f"mot:{self.boxes}"}, "engine": {"model": "none"}, **sections}
        )


@pytest.fixture(scope="session")
def new_scene() -> type[Scene]:
    """Makes scenes: for recordings that several tests share."""
    return Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A folder to put generated cameras in."""
    return Scene(tmp_path / "scene")


@pytest.fixture
def colours() -> ColourEmbedder:
    """An embedder that tells the generated people apart."""
    return ColourEmbedder()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, standard output, standard error."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["streamreid", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def rtsp() -> ModuleType:
    """An RTSP server; tests that need it are skipped where it cannot run."""
    reason = rtsp_camera.missing()
    if reason is not None:
        pytest.skip(reason)
    return rtsp_camera


@pytest.fixture(scope="session")
def crowds() -> ModuleType:
    """Generated crowds seen by calibrated cameras, whose clocks may be wrong."""
    return generated_crowds


@pytest.fixture(scope="session")
def faults() -> ModuleType:
    """Servers and networks that misbehave on purpose."""
    return faulty_network


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a server of our own, without database name; it lives in a temporary folder and runs as an ordinary
    user."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'streamreid[postgres]'")
    with tempfile.TemporaryDirectory(prefix="pg") as text:
        folder = Path(text)
        folder.chmod(0o755)
        try:
            server = PostgresServer(folder, "fsync=off", "max_wal_size=64MB")
            server.start()
        except RuntimeError as error:
            pytest.skip(str(error))
        try:
            yield server.address
        finally:
            server.stop()


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """Address of an empty database."""
    import psycopg

    name = f"t{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    yield f"{postgres_server}/{name}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


_numbers = iter(range(10**9))
