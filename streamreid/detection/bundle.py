"""Detector bundles: a folder with the detector's graph, its compiled forms and ``bundle.json``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from streamreid._sections import Strict
from streamreid.compiling.bundle_folder import MANIFEST, check_files, read_manifest
from streamreid.compiling.policy import CompiledGraph
from streamreid.compiling.records import BuildKey, BuildRecord, FileName, Sha256, VariantKey
from streamreid.errors import DetectorError, EngineError

__all__ = ["DetectorBundle", "DetectorManifest", "load_detector_bundle"]


class DetectorManifest(Strict):
    """What ``bundle.json`` of a detector holds."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    kind: Literal["detector"] = "detector"
    licence: str = "unknown"
    files: dict[FileName, Sha256] = Field(default_factory=dict)
    model: FileName = "model.onnx"
    variants: dict[VariantKey, FileName] = Field(default_factory=dict)
    builds: dict[BuildKey, BuildRecord] = Field(default_factory=dict)
    metadata: dict[str, str] = Field(default_factory=dict)
    created: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class DetectorBundle:
    """A checked bundle.

    Args:
        folder: Where it lies.
        manifest: Its ``bundle.json``.
    """

    folder: Path
    manifest: DetectorManifest

    @property
    def model(self) -> Path:
        """Path of the uncompiled graph that compiled forms are held against."""
        return self.folder / self.manifest.model

    @property
    def compiled(self) -> CompiledGraph:
        """The graph in all its forms."""
        m = self.manifest
        graph = CompiledGraph(self.folder, m.model, m.files, m.variants, m.builds, "")
        return replace(graph, identity=hashlib.sha256(graph.checksum.encode()).hexdigest())


def load_detector_bundle(folder: str | Path) -> DetectorBundle:
    """Read a detector bundle and check every file's checksum.

    Raises:
        DetectorError: Not such a bundle, or a missing or changed file.
    """
    folder = Path(folder)
    try:
        manifest = read_manifest(
            folder / MANIFEST,
            DetectorManifest,
            f"build one with: streamreid build-engine MODEL.onnx --kind detector --out {folder}",
        )
        check_files(folder, manifest)
    except EngineError as error:
        raise DetectorError(f"detector {folder}: {error}") from None
    return DetectorBundle(folder, manifest)
