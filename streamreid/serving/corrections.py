"""Corrections by HTTP: names, staff, who is whom, who is forgotten.

``POST /identities/ID/rename`` with ``{"name": ...}``, ``/staff`` with ``{"staff": true}``, ``/merge`` and
``/different`` with ``{"other": ID}``, ``/split`` with ``{"at": SECONDS}`` or ``{"tracks": [[CAMERA, TRACK], ...]}``,
``/forget`` without a body. ``POST /corrections/undo`` takes back the newest, or that of ``{"number": N}``;
``GET /corrections`` lists them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from streamreid._yaml import validate
from streamreid.corrections import Correction, Corrections
from streamreid.serving.request_bodies import json_object
from streamreid.serving.worker_pool import WorkerPool

__all__ = ["add_corrections", "correct", "correction_view"]

MOST_TRACKS = 1000
"""Tracks that one request may name."""

_SECONDS = 60.0
"""Seconds that a correction may take before the answer is 504: an erasure searches the gallery's files."""

_ACTOR = "HTTP"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Renaming(_Body):
    """A new name."""

    name: str = Field(description="Empty takes the name away.")


class StaffTag(_Body):
    """Whether somebody works there."""

    staff: bool = True


class OtherIdentity(_Body):
    """Another identity."""

    other: int = Field(ge=1, description="Global id.")


class Splitting(_Body):
    """Which tracks are somebody else."""

    model_config = ConfigDict(extra="forbid", strict=False)  # JSON has no tuples

    at: float | None = Field(default=None, description="Capture time: tracks whose middle is later are somebody else.")
    tracks: list[tuple[str, int]] = Field(default=[], max_length=MOST_TRACKS)


class Nothing(_Body):
    """No more is to be said."""


class Undoing(_Body):
    """Which correction is taken back."""

    number: int | None = Field(default=None, ge=1, description="The newest if none is given.")


BODIES: dict[str, type[_Body]] = {
    "rename": Renaming,
    "staff": StaffTag,
    "merge": OtherIdentity,
    "different": OtherIdentity,
    "split": Splitting,
    "forget": Nothing,
    "undo": Undoing,
}
"""What the body of each correction is."""

Model = TypeVar("Model", bound=_Body)


def correction_view(said: Correction) -> dict[str, Any]:
    """A correction for JSON."""
    return {key: value for key, value in said.as_dict().items() if key != "in_results"}


def correct(
    corrections: Corrections, kind: str, global_id: int, body: dict[str, Any], *, actor: str = _ACTOR
) -> dict[str, Any]:
    """Do a correction.

    Args:
        corrections: Of the run.
        kind: A key of `BODIES`.
        global_id: Whom; of no meaning for ``undo``.
        body: See `BODIES`.
        actor: For the audit.

    Returns:
        The correction, and of ``forget`` the proof of the erasure.

    Raises:
        ConfigError: The body is none for this kind.
        CorrectionError: It cannot be done.
    """
    asked: Any = validate(BODIES[kind], body, where=kind)
    match kind:
        case "rename":
            return correction_view(corrections.rename(global_id, asked.name, actor=actor))
        case "staff":
            return correction_view(corrections.tag_staff(global_id, asked.staff, actor=actor))
        case "merge":
            return correction_view(corrections.merge(global_id, asked.other, actor=actor))
        case "different":
            return correction_view(corrections.separate(global_id, asked.other, actor=actor))
        case "split":
            return correction_view(corrections.split(global_id, at=asked.at, tracks=asked.tracks, actor=actor))
        case "undo":
            return correction_view(corrections.undo(asked.number, actor=actor))
    return corrections.forget(global_id, actor=actor).as_dict()


def add_corrections(app: FastAPI, corrections: Corrections, reading: WorkerPool) -> None:
    """Add the paths to an application."""
    correcting = WorkerPool("correcting", threads=2, waiting=14, seconds=_SECONDS)

    async def done(kind: str, global_id: int, request: Request) -> Response:
        body = await request.body()
        said = (
            {}
            if not body and BODIES[kind] in (Nothing, Undoing, StaffTag)
            else json_object(request.headers.get("content-type", ""), body, what=f"what '{kind}' needs")
        )
        return await correcting.run(lambda: JSONResponse(correct(corrections, kind, global_id, said)))

    def add(kind: str) -> None:
        schema = {"application/json": {"schema": BODIES[kind].model_json_schema()}}

        @app.post(f"/identities/{{global_id}}/{kind}", name=kind, openapi_extra={"requestBody": {"content": schema}})
        async def corrected(global_id: int, request: Request) -> Response:
            return await done(kind, global_id, request)

    for kind in BODIES:
        if kind != "undo":
            add(kind)

    @app.post("/corrections/undo")
    async def undo(request: Request) -> Response:
        return await done("undo", 0, request)

    @app.get("/corrections")
    async def history() -> Response:
        return await reading.run(lambda: JSONResponse([correction_view(c) for c in corrections.history()]))
