"""JSON Schemas of the messages, by kind and version; ``streamreid events schema`` prints them.

A version grows when a reader must change: a field goes, or means something else. Fields may be added at any time, so
that readers ignore what they do not know.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from streamreid.messages.envelope import SCHEMA_PREFIX
from streamreid.places.records import PlaceEventKind
from streamreid.types import EventKind

__all__ = ["KINDS", "IdentityData", "PlaceData", "RunData", "schema"]

Probability = float


class _Data(BaseModel):
    model_config = ConfigDict(extra="allow")


class Summary(_Data):
    """What is known of an identity after an event."""

    first_seen: float | None = Field(description="Capture time in seconds.")
    last_seen: float | None = Field(description="Capture time in seconds.")
    cameras: list[str] = Field(description="Cameras that saw it.")
    confirmed: bool = Field(description="Whether it was seen well enough to count as a person of its own.")
    name: str | None = Field(description="Given by a person.")


class IdentityData(_Data):
    """A change in what is believed about who is who. Identities are numbers that never come again in the same results
    folder or gallery.

    ``new``: a track begins an identity. ``link``: a track joins one. ``merge``: identity ``other_id`` is ``global_id``
    from now on, with all its tracks. ``split``: tracks left ``other_id`` for ``global_id``. ``confirm``: the identity
    counts as a person of its own. ``expire``: it is no longer searched. ``rename``: a person named it. ``staff``: a
    person said that they work there, or took it back. ``different``: a person said that both are two people.

    Revisions (``merge``, ``split``, ``link`` with ``other_id``) come twice, about each of the two identities; both
    messages say the same but for ``identity`` and ``replaced_by``.
    """

    kind: EventKind = Field(description="What happened.")
    identity: int = Field(ge=1, description="Whom this message is about; also its subject.")
    replaced_by: int | None = Field(description="The identity that this one is from now on; null: it stays.")
    global_id: int = Field(ge=1, description="The identity after the change.")
    other_id: int | None = Field(description="The identity before the change, if that was another one.")
    capture_time: float = Field(description="Capture time at which it was decided, seconds.")
    probability: float = Field(ge=0, le=1, description="Link probability.")
    reasons: dict[str, float | None] = Field(
        description="Why: what each kind of evidence added to the log-odds, and how alike which part was."
    )
    tracks: list[tuple[str, int]] = Field(description="Tracks concerned: camera, track id.")
    tracks_omitted: int = Field(description="How many more there are, where there are very many.")
    summary: Summary | None = Field(description="What is known of global_id after the change; null where it expired.")


class PlaceData(_Data):
    """Something happened at a place, told of a person as known at that time; when the identity is merged later, what
    was told of it counts for the other one."""

    kind: PlaceEventKind = Field(description="What happened.")
    capture_time: float = Field(description="Capture time, seconds.")
    place: str | None = Field(description="Zone or line; 'everywhere' is the site.")
    camera: str | None = Field(description="That showed it.")
    track_id: int | None = Field(description="In that camera.")
    identity: int | None = Field(description="Who, as believed then.")
    name: str | None = Field(description="Of the identity.")
    start: float | None = Field(description="Capture time at which the visit began.")
    dwell: float | None = Field(description="Seconds since then.")
    entered: bool = Field(description="Whether the visit began at the boundary.")
    left: bool = Field(description="Whether it ended at the boundary.")
    direction: str | None = Field(description="Of a crossing: in or out.")
    point: list[float] | None = Field(description="Of a crossing, in pixels (metres on the ground).")
    probability: float | None = Field(
        description="Of a crossing: that this person crossed; below 1 where it lies between two tracks of the person."
    )
    track_before: int | None = Field(
        default=None,
        description="Of such a crossing, the first of both tracks: when they are two people after all, nobody crossed.",
    )
    occupancy: int | None = Field(description="People in the zone after the event.")
    alert: str | None = Field(description="Name of the rule that holds.")
    rule: str | None = Field(description="Its text.")
    value: float | None = Field(description="What was measured.")
    suppressed: int = Field(description="How often the rule held since it was told, and was not told.")


class RunData(_Data):
    """A run begins or ends."""

    kind: Literal["started", "ended"] = Field(description="What happened.")
    at: str = Field(description="When, RFC 3339.")
    version: str | None = Field(default=None, description="Of streamreid.")
    cameras: list[str] | None = Field(default=None, description="Of the run.")
    live: bool | None = Field(default=None, description="Whether cameras are live.")
    continued: bool | None = Field(
        default=None, description="Whether identities keep the numbers that an earlier run gave them."
    )
    complete: bool | None = Field(default=None, description="Of the end: false if the run failed.")
    identities: int | None = Field(default=None, description="People.")
    confirmed: int | None = Field(default=None, description="Confirmed people among them.")
    unlinked_tracks: int | None = Field(default=None, description="Tracks that belong to nobody.")


KINDS: dict[str, tuple[int, type[_Data]]] = {
    "identity": (1, IdentityData),
    "place": (1, PlaceData),
    "run": (1, RunData),
}
"""Version and model of each kind of data."""


def types_of(kind: str) -> list[str]:
    """The CloudEvents types of a kind."""
    values = {"identity": get_args(EventKind), "place": get_args(PlaceEventKind), "run": ("started", "ended")}
    return [f"streamreid.{kind}.{value}" for value in values[kind]]


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of whole messages of a kind: the CloudEvent with its data.

    Args:
        kind: identity, place or run.
    """
    version, model = KINDS[kind]
    data = model.model_json_schema()
    definitions = data.pop("$defs", {})
    name = f"{SCHEMA_PREFIX}{kind}:{version}"
    text = {"type": "string", "minLength": 1}
    properties: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": {**text, "description": "Unique; a message that comes twice has the same one."},
        "source": {**text, "format": "uri-reference", "description": "/streamreid/SITE."},
        "type": {"enum": types_of(kind)},
        "subject": {**text, "description": "What it is about: identity/17, place/shop, run. Order is kept for each."},
        "time": {**text, "format": "date-time", "description": "Capture time, where it is a date."},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"const": name},
        "partitionkey": {**text, "description": "The subject."},
        "sequence": {"type": "string", "pattern": "^[0-9]{16}$", "description": "Number in the outbox, from 1."},
        "run": {**text, "description": "Id of the run."},
        "data": data,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": name,
        "title": f"streamreid {kind} message, version {version}",
        "type": "object",
        "properties": properties,
        "required": [key for key in properties if key != "time"],
        **({"$defs": definitions} if definitions else {}),
    }
