"""Opens a camera beside others: with common times, on time, and as what it is (a recording or live)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from streamreid.cameras.capture_times import check_mixed, is_mixed
from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import DatedSource, FrameSource, open_source

__all__ = ["CameraOpener", "Claim"]

Claim = Callable[[], bool]
"""Asked once, when a camera is open: whether it is still wanted."""


class CameraOpener:
    """Opens the cameras of a run.

    Args:
        cameras: Those that the run begins with.
        window: Seconds over which tracks are compared: a recording beside live cameras begins at most so far from now.
        serving: Whether live cameras may come later.

    Raises:
        ConfigError: Recordings and live cameras have no common time.
    """

    def __init__(self, cameras: Iterable[CameraConfig], *, window: float, serving: bool) -> None:
        cameras = list(cameras)
        self._window, self._serving = window, serving
        check_mixed(cameras, window=window, serving=serving)
        self._mixed = is_mixed(cameras)

    def __repr__(self) -> str:
        return f"CameraOpener(window={self._window})"

    def check(self, config: CameraConfig, others: Iterable[CameraConfig]) -> None:
        """Refuse a recording beside live cameras, or the other way round, with which it has no common time.

        Raises:
            ConfigError: It has none.
        """
        beside = [c for c in others if c.name != config.name]
        check_mixed([*beside, config], window=self._window, serving=self._serving)

    def open(self, config: CameraConfig, others: Iterable[CameraConfig], claim: Claim | None) -> FrameSource | None:
        """The camera's opened source, None if it rests.

        Raises:
            SourceError: It cannot be opened, or is not wanted any more.
        """
        source = None if config.paused else open_source(config)
        if claim is not None and not claim():
            if source is not None:
                source.close()
            raise SourceError(f"camera '{config.name}': opened too late: nobody waits for it any more")
        if source is None or source.live or not (self._mixed or is_mixed([*others, config])):
            return source
        return DatedSource(config, source)
