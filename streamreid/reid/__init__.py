"""ReID: what a person looks like, part by part."""

from streamreid.features.similarity import Calibration
from streamreid.reid.base import Embedder
from streamreid.reid.bundle import Bundle, BundleManifest, load_bundle, write_bundle
from streamreid.reid.embedder import BlindEmbedder, EngineEmbedder
from streamreid.reid.factory import engine_fingerprint, open_embedder, shipped_engines
from streamreid.reid.feature_extractor import FeatureExtractor
from streamreid.reid.model_import import ImportOptions, import_bundle

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
    "open_embedder",
    "shipped_engines",
    "write_bundle",
]
