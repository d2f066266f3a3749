"""Identities across cameras."""

from streamreid.association.associator import Associator
from streamreid.association.place import Key, Place
from streamreid.association.topology import CameraGraph

__all__ = ["Associator", "CameraGraph", "Key", "Place"]
