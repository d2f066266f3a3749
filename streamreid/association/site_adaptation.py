"""A closed-form adaptation of an engine's features to a site: which directions in them tell its people apart, and which
only say by which camera and from which side somebody was seen.

Per part k, features are moved as in :mod:`streamreid.association.camera_normalisation` and then whitened by what varies
about one and the same person (within-class covariance normalisation, Hatch, Kajarekar, Stolcke, "Within-class
covariance normalization for SVM-based speaker recognition", Interspeech 2006):

    x_k  <-  normalise(A_k x_k)        A_k = S_k^(-strength / 2)

where S_k is the covariance of looks around their track's mean and of the differences between tracks of two cameras that
are surely one person, both shrunk towards a multiple of the identity. ``streamreid adapt`` fits it to a cache, without
labels. Features are kept as the engine gives them; this is applied when they are compared.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.association.camera_normalisation import CameraMean
from streamreid.association.track_similarity import Views
from streamreid.errors import DataError
from streamreid.features.prototype_bank import normalised
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.files import atomic_write
from streamreid.types import FloatArray

__all__ = ["AdaptedCalibration", "AnyCalibration", "SiteAdaptation", "load_adaptation"]

SCHEMA = 1
"""Version of the file."""


@dataclass(frozen=True, slots=True, eq=False)
class SiteAdaptation:
    """What was learnt of a site.

    Args:
        engine: Fingerprint of the engine whose features it is for.
        means: What is known of each camera's mean feature, to begin with.
        maps: ``[K, D, D]`` float32, A_k.
        scale: Similarities of adapted features are multiplied by it, ...
        offset: ... and moved by it, so that different people are as alike on average, and as spread, as they were
            before; the link probability was fitted on such similarities.
        report: Figures before and after, for people to read.
    """

    engine: str
    means: Mapping[str, CameraMean]
    maps: FloatArray
    scale: float = 1.0
    offset: float = 0.0
    report: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        k, d = self.maps.shape[0], self.maps.shape[-1]
        if self.maps.shape != (k, d, d) or not np.isfinite(self.maps).all():
            raise ValueError(f"maps must be finite and [K, D, D], got {self.maps.shape}")
        for camera, mean in self.means.items():
            if mean.total.shape != (k, d):
                raise ValueError(f"the mean of camera '{camera}' is {mean.total.shape}, the maps are {self.maps.shape}")
        if not (np.isfinite([self.scale, self.offset]).all() and self.scale > 0):
            raise ValueError(f"scale must be positive and offset finite, got {self.scale} and {self.offset}")

    def __repr__(self) -> str:
        k, d, _ = self.maps.shape
        return f"SiteAdaptation(cameras={sorted(self.means)}, parts={k}, dim={d})"

    def apply(self, views: Views) -> Views:
        """Adapted views of some tracks or identities; those of another shape, of whom nothing was seen, stay."""
        n, v, k, d = views.parts.shape
        if (k, d) != self.maps.shape[:2]:
            return views
        flat = views.parts.reshape(n * v, k, d).transpose(1, 0, 2) @ self.maps  # symmetric
        return Views(normalised(flat.transpose(1, 0, 2).reshape(n, v, k, d)), views.mass, views.visibility)

    def calibrated(self, base: Calibration | SiteCalibration) -> AdaptedCalibration:
        """The engine's calibration, for similarities of adapted features."""
        return AdaptedCalibration(base, self.scale, self.offset)

    def save(self, path: Path) -> None:
        """Write it as one ``.npz`` file, which is complete or not there."""
        about = {
            "schema": SCHEMA,
            "engine": self.engine,
            "cameras": list(self.means),
            "scale": self.scale,
            "offset": self.offset,
            "report": dict(self.report),
        }
        arrays = {f"{n}{i}": getattr(m, n) for i, m in enumerate(self.means.values()) for n in ("total", "weight")}
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about)), maps=self.maps, **arrays)


@dataclass(frozen=True, slots=True)
class AdaptedCalibration:
    """A calibration of an engine, for similarities of adapted features.

    Args:
        base: Of the engine, also as it follows the site.
        scale: See :class:`SiteAdaptation`.
        offset: See :class:`SiteAdaptation`.
    """

    base: Calibration | SiteCalibration
    scale: float
    offset: float

    def log_odds(self, similarity: FloatArray) -> FloatArray:
        """See :meth:`streamreid.features.similarity.Calibration.log_odds`."""
        return self.base.log_odds(self._engine(similarity))

    def probability(self, similarity: FloatArray) -> FloatArray:
        """See :meth:`streamreid.features.similarity.Calibration.probability`."""
        return self.base.probability(self._engine(similarity))

    def _engine(self, similarity: FloatArray) -> FloatArray:
        return np.asarray(self.scale * np.asarray(similarity, np.float32) + self.offset, np.float32)


AnyCalibration = Calibration | SiteCalibration | AdaptedCalibration


def load_adaptation(path: Path) -> SiteAdaptation:
    """Read what ``streamreid adapt`` wrote.

    Raises:
        DataError: There is no such file, or it is no adaptation, or of a newer version.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            about = json.loads(str(found["about"]))
            if about["schema"] > SCHEMA:
                raise DataError(
                    f"'{path}' was written by a newer streamreid (format {about['schema']}, this one reads {SCHEMA}); "
                    "update, or run `streamreid adapt` anew"
                )
            means = {c: CameraMean(found[f"total{i}"], found[f"weight{i}"]) for i, c in enumerate(about["cameras"])}
            return SiteAdaptation(
                str(about["engine"]),
                means,
                found["maps"],
                float(about["scale"]),
                float(about["offset"]),
                about["report"],
            )
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"'{path}' is no site adaptation as `streamreid adapt` writes it: {error}") from None
