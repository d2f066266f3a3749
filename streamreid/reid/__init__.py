"""ReID: what a person looks like, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamreid._lazy import lazily

if TYPE_CHECKING:
    from streamreid.reid.base import Embedder
    from streamreid.reid.bundle import Bundle, BundleManifest, load_bundle, write_bundle
    from streamreid.reid.embedder import BlindEmbedder, EngineEmbedder
    from streamreid.reid.factory import engine_fingerprint, missing_engine, open_embedder, shipped_engines
    from streamreid.reid.feature_extractor import FeatureExtractor
    from streamreid.reid.model_import import ImportOptions, import_bundle


from streamreid.features.similarity import Calibration

__all__ = [
    "BlindEmbedder",
    "Bundle",
    "BundleManifest",
    "Calibration",
    "Embedder",
    "EngineEmbedder",
    "FeatureExtractor",
    "ImportOptions",
    "engine_fingerprint",
    "import_bundle",
    "load_bundle",
    "missing_engine",
    "open_embedder",
    "shipped_engines",
    "write_bundle",
]

__getattr__ = lazily(
    __name__,
    {
        "Embedder": "base",
        "Bundle": "bundle",
        "BundleManifest": "bundle",
        "load_bundle": "bundle",
        "write_bundle": "bundle",
        "BlindEmbedder": "embedder",
        "EngineEmbedder": "embedder",
        "engine_fingerprint": "factory",
        "missing_engine": "factory",
        "open_embedder": "factory",
        "shipped_engines": "factory",
        "FeatureExtractor": "feature_extractor",
        "ImportOptions": "model_import",
        "import_bundle": "model_import",
    },
)
