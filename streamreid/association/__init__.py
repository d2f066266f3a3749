"""Association: which tracks of all cameras show one person."""

from streamreid.association.associator import Associator
from streamreid.association.link_record import TrackLinks
from streamreid.association.spatial_evidence import SpatialEvidence
from streamreid.association.topology import CameraGraph

__all__ = ["Associator", "CameraGraph", "SpatialEvidence", "TrackLinks"]
