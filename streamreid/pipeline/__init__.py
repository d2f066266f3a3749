"""The wiring: cameras, batches, inference, tracks, identities, results."""

from streamreid.pipeline.pipeline import Pipeline
from streamreid.pipeline.run import Summary, run

__all__ = ["Pipeline", "Summary", "run"]
