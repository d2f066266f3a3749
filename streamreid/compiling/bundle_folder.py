"""A bundle is a folder with a manifest and the files it names: written in one step, checked whenever it is read."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from streamreid.camera_names import LONGEST_NAME, legal_name
from streamreid.errors import EngineError
from streamreid.files import atomic_write
from streamreid.runtimes import check_graph_files
from streamreid.weights import sha256_file

__all__ = ["MANIFEST", "bundle_name", "bundled_files", "check_files", "read_manifest", "save_manifest", "write_folder"]

MANIFEST = "bundle.json"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


def bundle_name(name: str | None, folder: str | Path) -> str:
    """The name of a bundle: the one asked for, else the legal one that is most like the name of its folder.

    Raises:
        EngineError: The one asked for is not legal; names the nearest that is.
    """
    wanted = Path(os.path.abspath(folder)).name if name is None else name
    if len(wanted) <= LONGEST_NAME and _PLAIN.match(wanted):
        return wanted
    if name is not None:
        raise EngineError(
            f"name '{name}': names are made of at most {LONGEST_NAME} letters A to Z, digits, '_', '.' and '-', and "
            f"begin with a letter or digit: {legal_name(name)}"
        )
    return legal_name(wanted)


class _HasFiles(Protocol):
    @property
    def files(self) -> dict[str, str]: ...
    @property
    def model(self) -> str: ...


M = TypeVar("M", bound=BaseModel)


def read_manifest(path: Path, kind: type[M], hint: str) -> M:
    """Read ``bundle.json``.

    Args:
        path: The file.
        kind: Which manifest is expected.
        hint: What to do if there is none.

    Raises:
        EngineError: Missing, unreadable or wrong; names every wrong value.
    """
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EngineError(f"engine bundle {path.parent}: no {path.name} in it; {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path}: cannot be read: {error}") from None
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise EngineError(f"{path}: {'; '.join(mistakes)}") from None


def check_files(folder: Path, manifest: _HasFiles) -> None:
    """Compare every file with its checksum.

    Raises:
        EngineError: A file is missing or changed, or the model has no checksum.
    """
    if manifest.model not in manifest.files:
        raise EngineError(f"{folder / MANIFEST}: 'files' has no checksum for the model '{manifest.model}'")
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise EngineError(f"engine bundle {folder}: the file '{name}' is missing; copy or import the bundle again")
        found = sha256_file(file)
        if found != expected:
            raise EngineError(
                f"engine bundle {folder}: '{name}' is not the file that {MANIFEST} describes (sha256 {found[:16]}..., "
                f"expected {expected[:16]}...); it is damaged or was changed: copy or import the bundle again"
            )


def bundled_files(model: Path) -> dict[str, Path]:
    """A graph's files by the names that they get in a bundle: model.onnx or model.xml, and its weights.

    Raises:
        EngineError: A file is missing, or the graph names one that cannot lie in a bundle.
    """
    suffix = model.suffix.lower()
    files = {f"model{suffix}": model}
    for name, place in list(check_graph_files(model).items())[1:]:
        own = "model.bin" if suffix == ".xml" else name
        # The graph names its data by this name, so it is kept.
        if not _PLAIN.match(own) or own in (MANIFEST, *files):
            raise EngineError(
                f"{model}: keeps its weights in '{name}', a name that a bundle cannot hold. Save it again with data "
                "in one file beside it: onnx.save(onnx.load(PATH), NEW, save_as_external_data=True, "
                "location='model.data'), or in one file with the graph"
            )
        files[own] = place
    return files


def write_folder(out: Path, manifest: Any, files: Mapping[str, Path], *, force: bool = False) -> None:
    """Write a bundle in one step: the folder appears complete or not at all.

    Args:
        out: Folder to create.
        manifest: A manifest with ``files`` and ``model``; its ``files`` is filled in here.
        files: Name in the bundle -> file to copy; may lie in ``out`` itself.
        force: Replace an existing bundle.

    Raises:
        EngineError: ``out`` exists (and is not a bundle to replace), or a file cannot be read or written.
    """
    if manifest.model not in files:
        raise EngineError(f"cannot write the bundle {out}: no file for the model '{manifest.model}'")
    if out.exists() and not (force and (out / MANIFEST).is_file()):
        hint = (
            "it is not an engine bundle; choose another place" if force else "pass --force to replace an engine bundle"
        )
        raise EngineError(f"{out} exists already; {hint}")
    if out.exists() and out.samefile(Path.cwd()):
        raise EngineError(f"{out}: the working folder cannot be replaced; run the command from another folder")
    draft, old = out.with_name(f".{out.name}.{os.getpid()}.new"), out.with_name(f".{out.name}.{os.getpid()}.old")
    try:
        draft.mkdir(parents=True)
        for name, source in files.items():
            shutil.copyfile(source, draft / name)
        complete = manifest.model_copy(update={"files": {name: sha256_file(draft / name) for name in files}})
        (draft / MANIFEST).write_text(_text(complete), encoding="utf-8")
        check_files(draft, read_manifest(draft / MANIFEST, type(complete), ""))
        if out.exists():
            out.rename(old)
        draft.rename(out)
    except OSError as error:
        if old.exists() and not out.exists():
            with contextlib.suppress(OSError):
                old.rename(out)
        raise EngineError(f"cannot write the bundle {out}: {error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def save_manifest(folder: Path, manifest: BaseModel) -> None:
    """Replace ``bundle.json`` in one step; the files stay.

    Raises:
        EngineError: It cannot be written.
    """
    try:
        with atomic_write(folder / MANIFEST, part=folder / f".{MANIFEST}.{os.getpid()}", durable=True) as part:
            part.write_text(_text(manifest), encoding="utf-8")
    except OSError as error:
        raise EngineError(f"{folder / MANIFEST}: cannot be written: {error.strerror or error}") from None


def _text(manifest: BaseModel) -> str:
    # A bundle without compiled forms reads as before they existed.
    empty = {name for name in ("variants", "builds", "program") if not getattr(manifest, name, None)}
    return manifest.model_dump_json(indent=2, by_alias=True, exclude=empty) + "\n"
