"""One process: perception (cameras, batches, inference, tracks) feeds the site (identities, gallery, events)."""

from streamreid.pipeline.perception import Perception
from streamreid.pipeline.pipeline import Pipeline
from streamreid.pipeline.run import Run
from streamreid.pipeline.site import Site

__all__ = ["Perception", "Pipeline", "Run", "Site"]
