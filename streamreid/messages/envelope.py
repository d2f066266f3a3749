"""CloudEvents 1.0 in JSON: the envelope of every message.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md; the attributes ``partitionkey`` and
``sequence`` are those of the documented extensions of these names, ``run`` is one of ours.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import to_json

__all__ = ["CONTENT_TYPE", "SCHEMA_PREFIX", "Draft", "Envelope", "Message", "capture_date"]

CONTENT_TYPE = "application/cloudevents+json"

SCHEMA_PREFIX = "urn:streamreid:schema:"
"""A schema is called ``urn:streamreid:schema:KIND:VERSION``; ``streamreid events schema`` prints it."""

_LEAST_DATE = 366 * 86_400.0
"""Capture times below this are seconds of a recording of which nobody said when it began."""


class Draft(NamedTuple):
    """A message that has no id yet.

    Args:
        type: CloudEvents type: ``streamreid.identity.merge``.
        subject: What it is about: ``identity/17``, ``place/shop``, ``run``. Messages of one subject stay in order.
        schema: Name and version of the schema of ``data``: ``identity:1``.
        time: Capture time in seconds; None where it has none.
        data: What is said, as JSON can hold it.
    """

    type: str
    subject: str
    schema: str
    time: float | None
    data: Mapping[str, Any]


class Message(NamedTuple):
    """A message as it waits in the outbox.

    Args:
        sequence: Its number in the outbox, from 1.
        id: Unique for ever; a message that is delivered twice has the same one.
        type: CloudEvents type.
        subject: What it is about.
        body: The whole CloudEvent as JSON, UTF-8.
    """

    sequence: int
    id: str
    type: str
    subject: str
    body: bytes


def capture_date(time_: float) -> str | None:
    """A capture time as RFC 3339, or None where it is no date."""
    if time_ < _LEAST_DATE:
        return None
    whole, rest = divmod(round(time_ * 1e6), 1_000_000)
    return f"{_date_and_second(whole)}.{rest:06d}Z"


@lru_cache(maxsize=256)
def _date_and_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class Envelope:
    """Puts drafts into envelopes.

    Args:
        site: Name of the site.
        run: Id of the run.
    """

    def __init__(self, site: str, run: str) -> None:
        self.site = site
        self.run = run
        self.source = f"/streamreid/{site}"
        self._head = b'{"specversion":"1.0","source":%s,"run":%s' % (to_json(self.source), to_json(run))

    def seal(self, draft: Draft, *, id: str, sequence: int) -> Message:  # noqa: A002 - the attribute's name
        """The message: a draft in its envelope.

        Args:
            draft: What is said.
            id: Unique id.
            sequence: Its number in the outbox.
        """
        subject = " ".join(draft.subject.split()) or "-"
        date = None if draft.time is None else capture_date(draft.time)
        # Put together by hand: that takes half the time of one dictionary. Absent, not null: time of recordings
        # without a date.
        quoted = to_json(subject)
        body = (
            b'%s,"id":"%s","type":"%s","subject":%s,"partitionkey":%s,"sequence":"%016d",%s"datacontenttype":'
            b'"application/json","dataschema":"%s","data":%s}'
        ) % (
            self._head,
            id.encode(),
            draft.type.encode(),
            quoted,
            quoted,
            sequence,
            b"" if date is None else b'"time":"%s",' % date.encode(),
            (SCHEMA_PREFIX + draft.schema).encode(),
            to_json(draft.data, inf_nan_mode="null"),
        )
        return Message(sequence, id, draft.type, subject, body)
