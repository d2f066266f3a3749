"""Engine bundles: a folder with a graph and ``bundle.json``, which says how to feed it and what comes out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamreid.errors import EngineError
from streamreid.runtimes import ImageInput
from streamreid.similarity import Calibration

__all__ = ["MANIFEST", "Bundle", "BundleManifest", "CalibrationValues", "InputFormat", "OutputNames", "load_bundle", "write_bundle"]

MANIFEST = "bundle.json"

Triple = tuple[float, float, float]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputFormat(_Strict):
    """Size of a crop and ``input = pixel * scale + bias``, per channel in the engine's colour order."""

    height: int = Field(ge=8, le=2048)
    width: int = Field(ge=8, le=2048)
    color: Literal["rgb", "bgr"]
    scale: Triple
    bias: Triple

    @model_validator(mode="after")
    def _invertible(self) -> InputFormat:
        if 0.0 in self.scale:
            raise ValueError(f"scale must not be 0, got {self.scale}")
        return self

    def image(self) -> ImageInput:
        """As the runtimes want it."""
        return ImageInput(self.color, self.scale, self.bias)


class OutputNames(_Strict):
    """Names of the graph's outputs: parts ``[N, K, D]`` (or ``[N, D]``), visibility ``[N, K]`` or none, and further ones."""

    parts: str
    visibility: str | None = None
    extra: dict[str, str] = Field(default_factory=dict)


class CalibrationValues(_Strict):
    """See ``Calibration``."""

    slope: float
    intercept: float
    source: str = "default"
    impostor_mean: float | None = None
    impostor_deviation: float | None = Field(default=None, gt=0)


class BundleManifest(_Strict):
    """What ``bundle.json`` holds."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    description: str = ""
    licence: str = "unknown"
    files: dict[FileName, Sha256] = Field(default_factory=dict)
    model: FileName = "model.onnx"
    input: InputFormat
    outputs: OutputNames
    parts: tuple[str, ...] = Field(default=("foreground",), min_length=1)
    dim: int = Field(ge=1)
    calibration: CalibrationValues
    rank: int = 0
    created: str = ""
    version: str = ""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle.

    Args:
        folder: Where it lies.
        manifest: Its ``bundle.json``.
    """

    folder: Path
    manifest: BundleManifest

    @property
    def model(self) -> Path:
        """The graph."""
        return self.folder / self.manifest.model

    @property
    def calibration(self) -> Calibration:
        """From similarity to probability."""
        values = self.manifest.calibration
        return Calibration(**values.model_dump())

    @property
    def fingerprint(self) -> str:
        """Hash of everything that changes features: the graph's files and how it is fed and read. Not the calibration, not the runtime."""
        data = self.manifest.model_dump(mode="json", include={"files", "model", "input", "outputs", "parts", "dim"})
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def load_bundle(path: str | Path) -> Bundle:
    """Read a bundle and check every file's checksum.

    Raises:
        EngineError: Missing folder, missing or wrong ``bundle.json``, missing or changed file.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise EngineError(f"engine bundle {folder}: no such folder")
    manifest = _read_manifest(folder / MANIFEST)
    if manifest.model not in manifest.files:
        raise EngineError(f"{folder / MANIFEST}: 'files' has no checksum for the model '{manifest.model}'")
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise EngineError(f"engine bundle {folder}: the file '{name}' is missing; copy or import the bundle again")
        found = _sha256(file)
        if found != expected:
            raise EngineError(
                f"engine bundle {folder}: '{name}' is not the file that {MANIFEST} describes (sha256 {found[:16]}..., expected {expected[:16]}...); "
                "it is damaged or was changed: copy or import the bundle again"
            )
    return Bundle(folder, manifest)


def write_bundle(out: str | Path, manifest: BundleManifest, files: Mapping[str, Path], *, force: bool = False) -> Bundle:
    """Write a bundle in one step: the folder appears complete or not at all.

    Args:
        out: Folder to create.
        manifest: All but ``files``, which is filled in here.
        files: Name in the bundle -> file to copy; must hold ``manifest.model``.
        force: Replace an existing bundle.

    Raises:
        EngineError: ``out`` exists (and is not a bundle to replace), or a file cannot be read or written.
    """
    out = Path(out)
    if manifest.model not in files:
        raise EngineError(f"cannot write the bundle {out}: no file for the model '{manifest.model}'")
    if out.exists() and not (force and (out / MANIFEST).is_file()):
        hint = "it is not an engine bundle; choose another place" if force else "pass --force to replace an engine bundle"
        raise EngineError(f"{out} exists already; {hint}")
    draft, old = out.with_name(f".{out.name}.{os.getpid()}.new"), out.with_name(f".{out.name}.{os.getpid()}.old")
    try:
        draft.mkdir(parents=True)
        for name, source in files.items():
            shutil.copyfile(source, draft / name)
        complete = manifest.model_copy(update={"files": {name: _sha256(draft / name) for name in files}})
        (draft / MANIFEST).write_text(complete.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8")
        load_bundle(draft)
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
    return load_bundle(out)


def _read_manifest(path: Path) -> BundleManifest:
    try:
        return BundleManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EngineError(
            f"engine bundle {path.parent}: no {path.name} in it; wrap a model with: streamreid engine import MODEL --out FOLDER"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path}: cannot be read: {error}") from None
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise EngineError(f"{path}: {'; '.join(mistakes)}") from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
