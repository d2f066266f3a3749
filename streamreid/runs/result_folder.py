"""Which folder a run writes to, that nobody else does, and what becomes of the results that are in it already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from streamreid._folders import FolderLock, Replacement
from streamreid.cameras.runtime_overrides import CHANGES
from streamreid.config import Config
from streamreid.corrections import CORRECTIONS
from streamreid.errors import ConfigError
from streamreid.pipeline.kept_learning import LEARNT
from streamreid.pipeline.run_state import STATE
from streamreid.runs.link_file import LINKS
from streamreid.runs.place_overrides import PLACES
from streamreid.sinks.colours import COLOURS
from streamreid.sinks.segments import PIECES, RESULTS

__all__ = ["DONE", "GALLERY", "OWN_NAMES", "ResultsFolder", "choose_folder", "clear_results"]

GALLERY = "gallery.json"
"""Says with which galleries the results in a folder were written: there global ids mean the people of these."""

DONE = "done.json"
"""A batch writes it into the folder of a recording that is finished."""

OWN_NAMES = (
    *(name for name in RESULTS if name != "crops"),
    PIECES,
    "summary.json",
    STATE,
    LEARNT,
    CHANGES,
    PLACES,
    DONE,
    GALLERY,
    LINKS,
    COLOURS,
    CORRECTIONS,
)
"""What is removed before a folder is used anew; crops are numbered by run and stay."""


_SIGNS = (
    "results.jsonl",
    "results.parquet",
    "results.parquet.parts",
    "mot/global",
    "mosaic.part.mp4",
    PIECES,
    "summary.json",
    STATE,
    CHANGES,
    DONE,
)
"""What tells a folder of results, also of a run that was killed, from one in which something else happens to be called
world.txt, mot or videos."""

_SCENE = "scene.json"
"""In the folder of a generated scene, whose world.txt is the truth."""


def choose_folder(asked: str | Path | None, name: str, *, overwrite: bool = False, append: bool = False) -> Path:
    """Where results go: the folder asked for, else the first free of runs/<name>, runs/<name>-2, ...

    Args:
        asked: As the user wrote it.
        name: Of the run.
        overwrite: Take a folder with results, too.
        append: Take a folder with results of a live run, to go on there.

    Raises:
        ConfigError: The folder asked for holds results already and may not be taken, holds what no run wrote under
            names of results, or is a file.
    """
    if asked is not None:
        folder = Path(asked)
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"'{folder}' is a file; results need a folder (--out)")
        _check_foreign(folder)
        if not overwrite and not (append and _continuable(folder)) and _used(folder):
            raise ConfigError(
                f"'{folder}' already holds results; pass --overwrite to replace them or choose another folder (--out)"
            )
        return folder
    number = 1
    while True:
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not folder.exists() or overwrite or (append and _continuable(folder)):
            return folder
        number += 1


def _used(folder: Path) -> bool:
    return any(
        (folder / name).exists() for name in ("summary.json", "results.jsonl", STATE, PIECES, "mot", "results.parquet")
    )


def _continuable(folder: Path) -> bool:
    return (folder / STATE).exists()


class ResultsFolder:
    """The folder of a run's results: locked while this is entered, and with what an earlier run left until the new run
    has begun.

    Where results are replaced, the old ones are moved aside by `begin`, deleted by `commit` (the first result of the
    new run is there), and moved back when the run fails before. A run that was killed in between leaves them where the
    next run finds them.

    Args:
        path: The folder; made if needed.
        overwrite: Replace what an earlier run left, instead of going on there.

    Raises:
        FolderBusy: Another process writes there (when entered).
        ConfigError: The folder holds what no run wrote, under names of results (when entered).
        OutputError: The folder is not writable (when entered).
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self.overwrite = overwrite
        self._lock = FolderLock(path)
        self._old = Replacement(path, _present)

    @classmethod
    def claim(
        cls, asked: str | Path | None, name: str, *, overwrite: bool = False, append: bool = False
    ) -> ResultsFolder:
        """The folder of `choose_folder`, to be entered.

        Raises:
            ConfigError: The folder asked for holds results already and may not be taken, or is a file.
        """
        return cls(choose_folder(asked, name, overwrite=overwrite, append=append), overwrite=overwrite)

    def __enter__(self) -> ResultsFolder:
        self._lock.__enter__()
        try:
            self._old.recover()
            _check_foreign(self.path)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._old.commit()
            else:
                self._old.restore()
        finally:
            self._lock.__exit__(kind, value, trace)

    def begin(self, config: Config | None = None) -> None:
        """Everything of the run is open: make room for its results. Again is harmless.

        Args:
            config: Of the run; none of its sources may lie where results are written.

        Raises:
            ConfigError: One does.
            OutputError: What is there cannot be moved.
        """
        if config is not None:
            self._spare_sources(config)
            self._make_private(config)
        if self.overwrite:
            self.overwrite = False
            self._old.begin()

    def _make_private(self, config: Config) -> None:
        """What is written with a gallery, or with pictures of people, is for its owner, like the gallery; a folder that
        was there stays as it is."""
        if (config.gallery.store is not None or config.output.crops) and config.gallery.private and self._lock.made:
            with suppress(OSError):  # a file system without permissions
                self.path.chmod(0o700)

    def commit(self) -> None:
        """The first result is there: what is replaced goes. Again is harmless."""
        self._old.commit()

    def _spare_sources(self, config: Config) -> None:
        for source in _source_files(config):
            for name in OWN_NAMES:
                place = (self.path / name).resolve()
                if source == place or place in source.parents:
                    raise ConfigError(
                        f"'{source}' is a source of this run and lies where its results are written "
                        f"('{self.path / name}'); choose another folder (--out)"
                    )


def _source_files(config: Config) -> Iterator[Path]:
    """Files and folders that the run reads."""
    for text in [c.uri for c in config.cameras] + [config.detector.model.removeprefix("mot:")]:
        if "://" not in text and Path(text).exists():
            yield Path(text).resolve()


def _check_foreign(folder: Path) -> None:
    """Results go only where nothing of anybody else's has the name of one.

    Raises:
        ConfigError: Something has.
    """
    if (folder / _SCENE).is_file():
        raise ConfigError(
            f"'{folder}' holds a scene, whose world.txt is the truth; results go into a folder of their own (--out "
            f"{folder / 'results'})"
        )
    there = [path.name for path in _present(folder)]
    if there and not any((folder / name).exists() for name in _SIGNS):
        raise ConfigError(
            f"'{folder}' holds {', '.join(there)}, which no run wrote, and results would go there; choose another "
            "folder (--out). Nothing in it was changed"
        )


def _present(folder: Path) -> Iterable[Path]:
    return [folder / name for name in OWN_NAMES if (folder / name).exists()]


def clear_results(folder: Path) -> None:
    """Remove the results of an earlier run, and nothing else.

    Raises:
        FolderBusy: Another process writes there.
        OutputError: Something cannot be removed.
    """
    if not folder.exists():
        return
    with ResultsFolder(folder, overwrite=True) as results:
        results.begin()
