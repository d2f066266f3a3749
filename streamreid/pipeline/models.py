"""Detector and engine of a run, opened side by side, and before the rest of the program is imported: most of that
time is native code, which leaves Python free."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from importlib.util import find_spec
from typing import TYPE_CHECKING

from streamreid.config import Config

if TYPE_CHECKING:
    from streamreid.detection import Detector
    from streamreid.reid import Embedder

__all__ = ["OpeningModels"]


class OpeningModels:
    """The configured detector and engine, opened by two threads from now on.

    Args:
        config: Says which.
        detector: Used instead of the configured one.
        embedder: Used instead of the configured one.
    """

    def __init__(self, config: Config, *, detector: Detector | None = None, embedder: Embedder | None = None) -> None:
        self._config = config
        _import(config)
        opener = ThreadPoolExecutor(2, thread_name_prefix="open")
        try:
            self._embedder: Future[Embedder] = opener.submit(lambda: embedder or _open_embedder(config))
            self._detector: Future[Detector] = opener.submit(lambda: detector or _open_detectors(config))
        finally:
            opener.shutdown(wait=False)

    def fit(self, config: Config) -> bool:
        """Whether they are those of a configuration, which may have other cameras than the one they were opened for."""
        from streamreid.pipeline.detectors import box_files

        mine, files = self._config, box_files(config)
        same = config.detector == mine.detector and config.engine == mine.engine and files == box_files(mine)
        return same and (not files or len(config.cameras) == len(mine.cameras))

    def take(self) -> tuple[Detector, Embedder]:
        """Both, as soon as they are open.

        Raises:
            WeightsError, DetectorError, EngineError, MissingExtraError: One cannot be opened.
        """
        wait((self._detector,))  # an error is told when both threads are done
        wait((self._embedder,))
        return self._detector.result(), self._embedder.result()


def _open_detectors(config: Config) -> Detector:
    from streamreid.pipeline.detectors import open_detectors

    return open_detectors(config)


def _open_embedder(config: Config) -> Embedder:
    from streamreid.reid import open_embedder

    opened = open_embedder(config.engine)
    prepare = getattr(opened, "prepare", None)
    if prepare is not None:
        prepare()
    return opened


def _import(config: Config) -> None:
    """What opening needs of Python comes first, and undisturbed: threads that import beside one another take as long
    as one after the other, and native code waits for both."""
    import streamreid.pipeline.detectors
    import streamreid.reid.factory  # noqa: F401

    if "auto" in (config.detector.runtime, config.engine.runtime) and find_spec("openvino") is not None:
        from streamreid.runtimes.openvino_module import openvino_module

        openvino_module()
