"""Identities across cameras: tracklet evidence, occlusion-unified similarity, constraints, clustering, revisions."""

from streamreid.association.associator import Associator

__all__ = ["Associator"]
