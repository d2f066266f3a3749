"""Detectors and engines that a machine of a cluster lacks: packed here, unpacked there under their checksum."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from streamreid import weights
from streamreid.config import Config, DetectorConfig, EngineConfig
from streamreid.detection import detector_checksum
from streamreid.errors import ClusterError, StreamReIDError
from streamreid.reid import engine_fingerprint, shipped_engines
from streamreid.runtimes import graph_files

if TYPE_CHECKING:
    from streamreid.cluster.machines import Report

__all__ = ["ModelCopy", "locate", "missing_models", "pack_detector", "pack_engine"]

log = logging.getLogger(__name__)

LARGEST = 2**30
"""Bytes of a model that is copied; what is larger than any detector or engine is a folder named by mistake."""


@dataclass(frozen=True, slots=True)
class ModelCopy:
    """A model on its way to another machine.

    Args:
        model: As the configuration names it.
        name: File or folder that stands for it in the copy.
        sha256: Of ``data``.
        data: A tar archive.
    """

    model: str
    name: str
    sha256: str
    data: bytes

    def unpack(self) -> Path:
        """Put it into this machine's cache, unless it is there.

        Returns:
            The file or folder.

        Raises:
            ClusterError: It was damaged on its way, or cannot be written.
        """
        folder = weights.cache_folder() / "cluster" / self.sha256
        if folder.is_dir():
            return folder / self.name
        if hashlib.sha256(self.data).hexdigest() != self.sha256:
            raise ClusterError(f"the copy of '{self.model}' has another checksum than was sent; start again")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as part:
                with tarfile.open(fileobj=io.BytesIO(self.data)) as archive:
                    archive.extractall(Path(part) / "copy", filter="data")
                try:
                    os.rename(Path(part) / "copy", folder)
                except OSError:
                    if not folder.is_dir():  # another worker of this machine was faster
                        raise
        except OSError as error:
            raise ClusterError(
                f"cannot keep a copy of '{self.model}' in '{folder.parent}': {error.strerror or error}; set "
                "STREAMREID_CACHE there to a folder with room"
            ) from error
        return folder / self.name


def pack_detector(config: DetectorConfig) -> ModelCopy | None:
    """The detector of this machine, to be sent; None where it is no file that can be sent alone (boxes, or none
    here)."""
    if config.model.startswith("mot:"):
        return None
    path = Path(config.model).expanduser()
    if path.is_dir():
        return _pack(config.model, path.name, _files_in(path))
    if not path.is_file():
        try:
            found = weights.find(config.model)
        except StreamReIDError:
            return None
        if found is None:
            return None
        path = found
    return _pack(config.model, path.name, {path.name: path} if path.suffix.lower() == ".pt" else graph_files(path))


def pack_engine(config: EngineConfig) -> ModelCopy | None:
    """The engine bundle of this machine, to be sent; None for those that come with streamreid, and for none."""
    folder = Path(config.model).expanduser()
    if config.model in (*shipped_engines(), "auto", "none") or not folder.is_dir():
        return None
    return _pack(config.model, folder.resolve().name, _files_in(folder))


def locate(config: Config, detector: Path | None, engine: Path | None) -> Config:
    """The configuration with detector and engine where copies of them lie on this machine; None leaves one as it is."""
    if detector is not None:
        config = config.model_copy(update={"detector": config.detector.model_copy(update={"model": str(detector)})})
    if engine is not None:
        config = config.model_copy(update={"engine": config.engine.model_copy(update={"model": str(engine)})})
    return config


def _files_in(folder: Path) -> dict[str, Path]:
    files = (p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith("."))
    return {f"{folder.resolve().name}/{p.name}": p for p in files}


def _pack(model: str, name: str, files: dict[str, Path]) -> ModelCopy:
    size = sum(file.stat().st_size for file in files.values())
    if size > LARGEST:
        raise ClusterError(
            f"'{model}' has {size / 2**30:.1f} GiB and is not copied to other machines; put it there, at the same path"
        )
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        for inside, file in files.items():
            info = tarfile.TarInfo(inside)  # no owner and no date: the same model always has the same checksum
            info.size = file.stat().st_size
            with file.open("rb") as source:
                archive.addfile(info, source)
    data = memory.getvalue()
    return ModelCopy(model, name, hashlib.sha256(data).hexdigest(), data)


def missing_models(config: Config, reports: Sequence[Report]) -> dict[str, ModelCopy]:
    """The detector and the engine, where a machine has none or another one.

    Raises:
        ClusterError: One is missing and cannot be copied; the machine is named.
    """
    here: dict[str, tuple[str | None, str, Callable[[], ModelCopy | None]]] = {
        config.detector.model: (
            detector_checksum(config.detector),
            "detector",
            partial(pack_detector, config.detector),
        ),
        config.engine.model: (
            engine_fingerprint(config.engine.model),
            "engine",
            partial(pack_engine, config.engine),
        ),
    }
    copies: dict[str, ModelCopy] = {}
    for model, (own, kind, pack) in here.items():
        lacking = [r.machine for r in reports if getattr(r, kind) != own]
        if own is None or not lacking:  # what is missing here is told by whoever opens it
            continue
        copy = pack()
        if copy is None:
            raise ClusterError(
                f"{lacking[0]}: its {kind} '{model}' is missing or is not the one of this machine, and it is none "
                "that can be copied; put the same there"
            )
        log.info("%s '%s' is copied to %s", kind, model, ", ".join(map(str, lacking)))
        copies[model] = copy
    return copies
