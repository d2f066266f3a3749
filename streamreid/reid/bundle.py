"""Engine bundles: a folder with a graph and ``bundle.json``, which says how to feed it and what comes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from streamreid._sections import Strict
from streamreid.compiling.bundle_folder import MANIFEST, check_files, read_manifest, write_folder
from streamreid.compiling.policy import CompiledGraph
from streamreid.compiling.records import BuildKey, BuildRecord, FileName, Sha256, VariantKey
from streamreid.errors import EngineError
from streamreid.features.similarity import Calibration
from streamreid.runtimes import ImageInput

__all__ = [
    "MANIFEST",
    "Bundle",
    "BundleManifest",
    "CalibrationValues",
    "InputFormat",
    "OutputNames",
    "load_bundle",
    "write_bundle",
]

Triple = tuple[float, float, float]


class InputFormat(Strict):
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


class OutputNames(Strict):
    """Names of the graph's outputs: parts ``[N, K, D]`` (or ``[N, D]``), visibility ``[N, K]`` or none, and further
    ones."""

    parts: str
    visibility: str | None = None
    extra: dict[str, str] = Field(default_factory=dict)


class CalibrationValues(Strict):
    """See ``Calibration``."""

    slope: float
    intercept: float
    source: str = "default"
    impostor_mean: float | None = None
    impostor_deviation: float | None = Field(default=None, gt=0)


class BundleManifest(Strict):
    """What ``bundle.json`` holds.

    ``licence`` says in words what there is to know; ``code_licence`` and ``weights_licence`` are SPDX identifiers,
    ``training_data`` names data sets and ``training_terms`` what their publishers allow.

    ``features`` is the checksum of an earlier graph whose features the graph gives bit by bit (outputs were added,
    notes removed): its fingerprint stays.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    description: str = ""
    licence: str = "unknown"
    code_licence: str = "unknown"
    weights_licence: str = "unknown"
    training_data: str = ""
    training_terms: str = ""
    kind: Literal["reid"] = "reid"
    files: dict[FileName, Sha256] = Field(default_factory=dict)
    model: FileName = "model.onnx"
    features: Sha256 | None = None
    variants: dict[VariantKey, FileName] = Field(default_factory=dict)
    builds: dict[BuildKey, BuildRecord] = Field(default_factory=dict)
    program: FileName | None = None
    input: InputFormat
    outputs: OutputNames
    parts: tuple[str, ...] = Field(default=("foreground",), min_length=1)
    dim: int = Field(ge=1)
    calibration: CalibrationValues
    rank: int = 0
    created: str = ""
    version: str = ""


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
        """Path of the bundle's uncompiled graph."""
        return self.folder / self.manifest.model

    @property
    def calibration(self) -> Calibration:
        """How a part similarity becomes the probability of one person."""
        values = self.manifest.calibration
        return Calibration(**values.model_dump())

    @property
    def compiled(self) -> CompiledGraph:
        """The graph in all its forms, as runtimes are opened from it."""
        m = self.manifest
        return CompiledGraph(self.folder, m.model, m.files, m.variants, m.builds, self.fingerprint, m.program)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that changes features: the graph's files and how it is fed and read. Not the calibration,
        not the runtime.

        Compiled forms do not count either: they are held to the graph's features (see ``reid.parity``), so a gallery
        survives a rebuild.
        """
        m = self.manifest
        data = m.model_dump(mode="json", include={"files", "model", "input", "outputs", "parts", "dim"})
        derived = (
            set(m.variants.values())
            | {f for b in m.builds.values() for f in (b.graph, b.plan) if f}
            | {m.program or ""}
        )
        data["files"] = {name: value for name, value in data["files"].items() if name == m.model or name not in derived}
        if m.features is not None:
            data["files"][m.model] = m.features
        data["outputs"]["extra"] = {}  # further outputs are not features
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def load_bundle(path: str | Path) -> Bundle:
    """Read a bundle and check every file's checksum.

    Raises:
        EngineError: Missing folder, missing or wrong ``bundle.json``, missing or changed file.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise EngineError(f"engine bundle {folder}: no such folder")
    manifest = read_manifest(
        folder / MANIFEST, BundleManifest, "wrap a model with: streamreid engine import MODEL --out FOLDER"
    )
    check_files(folder, manifest)
    return Bundle(folder, manifest)


def write_bundle(
    out: str | Path, manifest: BundleManifest, files: Mapping[str, Path], *, force: bool = False
) -> Bundle:
    """Write a bundle in one step: the folder appears complete or not at all.

    Args:
        out: Folder to create.
        manifest: All but ``files``, which is filled in here.
        files: Name in the bundle -> file to copy; must hold ``manifest.model``.
        force: Replace an existing bundle.

    Raises:
        EngineError: ``out`` exists (and is not a bundle to replace), or a file cannot be read or written.
    """
    write_folder(Path(out), manifest, files, force=force)
    return load_bundle(out)
