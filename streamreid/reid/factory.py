"""From the configuration to an embedder."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from streamreid._startup import starting
from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.files import searched_from
from streamreid.reid.base import Embedder
from streamreid.reid.bundle import MANIFEST, Bundle, load_bundle
from streamreid.reid.embedder import BlindEmbedder
from streamreid.reid.proven_engine import open_proven
from streamreid.weights import shipped_folder

__all__ = ["engine_fingerprint", "open_embedder", "shipped_engines", "shipped_folder"]

log = logging.getLogger(__name__)


def shipped_engines() -> dict[str, Path]:
    """Names and folders of the engines that come with streamreid."""
    return {file.parent.name: file.parent for file in sorted(shipped_folder().glob(f"*/{MANIFEST}"))}


def open_embedder(config: EngineConfig) -> Embedder:
    """Open the engine that the configuration names.

    Args:
        config: ``model`` is a bundle's folder, the name of a shipped one, 'auto' for the best shipped one that loads,
            or 'none'.

    Raises:
        EngineError: Unknown name, damaged bundle, or a graph that cannot be run.
    """
    with starting(f"engine '{config.model}'"):
        return _open(config)


def _open(config: EngineConfig) -> Embedder:
    if config.model == "none":
        return BlindEmbedder()
    shipped = shipped_engines()
    if config.model == "auto":
        return _best(shipped, config)
    folder = Path(config.model).expanduser()
    # A shipped name wins over a folder of that name in the current directory; './name' means the folder.
    if config.model in shipped:
        folder = shipped[config.model]
    elif not folder.is_dir():
        if folder.is_file():
            raise EngineError(
                f"engine {folder}: this is a file; wrap it first: streamreid engine import {folder} --out FOLDER, "
                "then pass FOLDER"
            )
        raise EngineError(_unknown(config.model))
    return open_proven(load_bundle(folder), config)


def missing_engine(config: EngineConfig) -> str | None:
    """What is not on this machine of the engine that the configuration names, without opening it.

    Returns:
        A sentence, or None where it is there.

    Raises:
        EngineError: It is a name that nothing has.
    """
    model = config.model
    if model in ("auto", "none") or model in shipped_engines() or Path(model).expanduser().exists():
        return None
    if "/" in model:
        return f"{model}: no such folder on this machine{searched_from(Path(model))}"
    raise EngineError(_unknown(model))


def _unknown(model: str) -> str:
    if "/" in model:
        return f"engine {model}: no such folder{searched_from(Path(model))}"
    names = ", ".join([*sorted(shipped_engines()), "auto", "none"])
    return f"unknown engine '{model}'; known: {names}, or the folder of an engine bundle{searched_from(Path(model))}"


def engine_fingerprint(model: str, name: str | None = None) -> str | None:
    """Fingerprint of the engine that a configuration names, without loading its graph.

    Args:
        model: As in the configuration.
        name: Which shipped engine 'auto' stands for; default the one of the highest rank.

    Returns:
        None if it is not on this machine or damaged.
    """
    if model == "none" or (model == "auto" and name == "none"):
        return BlindEmbedder.fingerprint
    shipped = shipped_engines()
    if model == "auto":
        folders = [folder for key, folder in shipped.items() if name in (None, key)]
    else:
        folders = [shipped.get(model, Path(model).expanduser())]
    bundles = []
    for folder in folders:
        with contextlib.suppress(EngineError):
            bundles.append(load_bundle(folder))
    best = min(bundles, key=lambda b: (-b.manifest.rank, b.manifest.name), default=None)
    return None if best is None else best.fingerprint


def _best(shipped: dict[str, Path], config: EngineConfig) -> Embedder:
    bundles: list[Bundle] = []
    for folder in shipped.values():
        try:
            bundles.append(load_bundle(folder))
        except EngineError as error:
            log.warning("engine left out: %s", error)
    for bundle in sorted(bundles, key=lambda b: (-b.manifest.rank, b.manifest.name)):
        try:
            return open_proven(bundle, config)
        except EngineError as error:
            if config.runtime != "auto" or config.precision != "auto":
                raise  # who asks for a runtime or precision wants that one, not a run without looks
            log.warning("engine '%s' left out: %s", bundle.manifest.name, error)
    log.warning("no usable ReID engine came with this installation: people are followed by motion only (engine 'none')")
    return BlindEmbedder()
