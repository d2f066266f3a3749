"""One process: cameras, batches, inference, tracks, identities, results."""

from streamreid.pipeline.frame_processor import FrameProcessor
from streamreid.pipeline.pipeline import Pipeline

__all__ = ["FrameProcessor", "Pipeline"]
