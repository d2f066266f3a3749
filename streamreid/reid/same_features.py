"""Whether two bundles give the same features bit by bit, so that galleries written with one stay valid with the
other."""

from __future__ import annotations

import numpy as np

from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.reid.bundle import Bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.reid.probe_set import generated_probe

__all__ = ["same_features"]


def same_features(before: Bundle, after: Bundle) -> str:
    """Checksum of the graph that the features of both bundles go by.

    Raises:
        EngineError: A single bit of their features differs on drawn figures.
    """
    probe = generated_probe((before.manifest.input.height, before.manifest.input.width), 33)
    engines = [
        EngineEmbedder(b, EngineConfig(runtime="onnxruntime", precision="fp32", min_height=0.0))
        for b in (before, after)
    ]
    for count in (1, 8, len(probe.crops)):
        a, b = (engine.embed(probe.crops[:count]) for engine in engines)
        if not (np.array_equal(a.parts, b.parts) and np.array_equal(a.visibility, b.visibility)):
            raise EngineError(
                f"{before.folder}: its features differ from those of the checkpoint; export without --same-as, and "
                "make galleries anew"
            )
    return before.manifest.features or before.manifest.files[before.manifest.model]
