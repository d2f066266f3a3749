"""The wiring: cameras, batches, inference, tracks, identities, results."""

from streamreid.pipeline.following import Following
from streamreid.pipeline.pipeline import Pipeline
from streamreid.pipeline.replay import Replay
from streamreid.pipeline.run import Summary, run

__all__ = ["Following", "Pipeline", "Replay", "Summary", "run"]
