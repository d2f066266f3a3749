"""A note beside the results by which a site whose process was started again knows that it is the same run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from streamreid.errors import OutputError
from streamreid.files import write_json

__all__ = ["ExtraWorker", "SiteMarker"]

log = logging.getLogger(__name__)

NAME = ".site.json"


@dataclass(frozen=True, slots=True)
class ExtraWorker:
    """A worker that was started while the run went on.

    Args:
        name: Of its slot, by which the cluster knows it.
        labels: Of its machine.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteMarker:
    """What the process of a site leaves for the next one of the same run.

    Args:
        run: Id of the run; empty where none left anything.
        committed: Whether it has results, so that they are gone on with and not replaced.
        port: Of the HTTP interface, 0 without it.
        workers: That were started while the run went on.
    """

    run: str = ""
    committed: bool = False
    port: int = 0
    workers: tuple[ExtraWorker, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> SiteMarker:
        """What is in a folder; nothing where it is missing or damaged."""
        try:
            data: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
            workers = tuple(ExtraWorker(str(w["name"]), dict(w["labels"])) for w in data["workers"])
            return cls(str(data["run"]), bool(data["committed"]), int(data["port"]), workers)
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, folder: Path, **changes: Any) -> SiteMarker:
        """Keep it with changes; the run goes on where that is not possible, as on a full disk."""
        changed = replace(self, **changes)
        if changed != self or not (folder / NAME).exists():
            try:
                write_json(folder / NAME, asdict(changed))
            except OutputError as error:
                log.warning("a site that is started again would begin anew: %s", error)
        return changed

    @staticmethod
    def remove(folder: Path) -> None:
        """The run is over."""
        with suppress(OSError):
            (folder / NAME).unlink()
