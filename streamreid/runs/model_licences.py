"""Under which licences the files stand that a run loads: code, weights, and what the training data allows.

These are three different things. A model's code and weights may be Apache-2.0 while the pictures that it was trained on
may only be used for research: whether that binds whoever uses the weights is a question for a lawyer, so both are said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamreid import weights
from streamreid.config import DetectorConfig
from streamreid.detection import detector_checksum
from streamreid.detection.auto_detector import AUTO, PREFERRED
from streamreid.errors import EngineError, WeightsError
from streamreid.reid.bundle import Bundle, load_bundle
from streamreid.reid.factory import shipped_engines

__all__ = ["COMMERCIAL_LICENCES", "ModelLicence", "detector_licence", "model_licences"]

COMMERCIAL_LICENCES = frozenset({"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "CC0-1.0", "CC-BY-4.0"})
"""SPDX identifiers that allow commercial use without giving anything but credit. AGPL-3.0 is not among them: whoever
offers a service with it has to publish the service's source, or buy a licence."""

_BINDING_WORDS = "binds weights"
"""In a sentence of terms: the publishers of the training data allow weights made from them the same only."""

_RESEARCH_WORDS = ("research", "non-commercial", "noncommercial")
"""In a sentence of terms: who trained on such data has no leave to sell what came of it, at least no plain one."""

Use = Literal["default", "demo", "named"]


@dataclass(frozen=True, slots=True)
class ModelLicence:
    """A file, or an engine's files.

    Args:
        name: What users write.
        kind: detector, engine or sample.
        used: "default" where a run without settings loads it; "demo" where `streamreid demo` shows it; "named" where it
            is loaded only if somebody names it.
        present: Whether it is on this machine; "wrong checksum" where it was changed.
        path: Where it is or belongs.
        size: Bytes.
        sha256: Of the file; of an engine that of its graph.
        code_licence: SPDX identifier of what the network was published with.
        weights_licence: SPDX identifier of the trained values, as their publisher states it.
        licence_url: Where the licence's text is; '' for what ships.
        training_data: Names of the data sets; '' where there was no training.
        training_terms: What their publishers allow, in a sentence.
    """

    name: str
    kind: Literal["detector", "engine", "sample"]
    used: Use
    present: bool | Literal["wrong checksum"]
    path: str
    size: int
    sha256: str
    code_licence: str
    weights_licence: str
    licence_url: str
    training_data: str
    training_terms: str

    @property
    def commercial_use(self) -> bool:
        """Whether the licences of code and weights allow it, and no terms of training data that bind the weights, too,
        forbid it. What other training data were for, ``research_data`` says."""
        free = {self.code_licence, self.weights_licence} <= COMMERCIAL_LICENCES
        return free and not (self.research_data and _BINDING_WORDS in self.training_terms)

    @property
    def research_data(self) -> bool:
        """Whether it was trained on data whose publishers allow research only."""
        return any(word in self.training_terms for word in _RESEARCH_WORDS)


def model_licences() -> list[ModelLicence]:
    """Everything that has a name: fetched files, then the engines that ship, the one that ``auto`` takes first."""
    bundles: list[Bundle] = []
    for folder in shipped_engines().values():
        try:
            bundles.append(load_bundle(folder))
        except EngineError:
            continue  # `streamreid engine list` says what is wrong with it
    bundles.sort(key=lambda b: (-b.manifest.rank, b.manifest.name))
    engines = [_engine(bundle, "named" if number else "default") for number, bundle in enumerate(bundles)]
    return [*(_file(w) for w in weights.REGISTRY), *engines]


def detector_licence(config: DetectorConfig) -> str:
    """SPDX identifier of the detector that a run loads, known by its checksum; '' of one that is not known."""
    checksum = None if config.model.startswith("mot:") else detector_checksum(config)
    return next((w.weights_licence or w.licence for w in weights.REGISTRY if w.sha256 == checksum), "")


def _file(w: weights.Weights) -> ModelLicence:
    standard = PREFERRED if (model := DetectorConfig().model) == AUTO else model
    sample = w.name.startswith("demo-videos/")
    try:
        present: bool | Literal["wrong checksum"] = weights.find(w.name) is not None
    except WeightsError:
        present = "wrong checksum"
    return ModelLicence(
        name=w.name,
        kind="sample" if sample else "detector",
        used="demo" if sample else "default" if w.name == standard else "named",
        present=present,
        path=str(w.path),
        size=w.size,
        sha256=w.sha256,
        code_licence=w.licence,
        weights_licence=w.weights_licence or w.licence,
        licence_url=w.licence_url,
        training_data=w.training_data,
        training_terms=w.training_terms,
    )


def _engine(bundle: Bundle, used: Use) -> ModelLicence:
    m = bundle.manifest
    files = [bundle.folder / name for name in m.files]
    return ModelLicence(
        name=m.name,
        kind="engine",
        used=used,
        present=True,
        path=str(bundle.folder),
        size=sum(_size(path) for path in files),
        sha256=m.files[m.model],
        code_licence=m.code_licence,
        weights_licence=m.weights_licence,
        licence_url="",
        training_data=m.training_data,
        training_terms=m.training_terms or m.licence,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
