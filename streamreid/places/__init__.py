"""Zones and lines: where people are, what they do there, and what is told of it.

What is stored is about tracks (a :class:`Visit`, a :class:`Crossing`); what is said is about people and follows from
these records and from who is who, so that merges and splits revise it without rewriting a record.
"""

from streamreid.places.counts import CountsTable, count_people
from streamreid.places.flows import FlowsTable, count_flows
from streamreid.places.records import (
    EVERYWHERE,
    Crossing,
    PlaceEvent,
    PlaceEventKind,
    PlaceInfo,
    PlaceLog,
    TrackSpan,
    Visit,
    camera_place,
)

__all__ = [
    "EVERYWHERE",
    "CountsTable",
    "Crossing",
    "FlowsTable",
    "PlaceEvent",
    "PlaceEventKind",
    "PlaceInfo",
    "PlaceLog",
    "TrackSpan",
    "Visit",
    "camera_place",
    "count_flows",
    "count_people",
]
