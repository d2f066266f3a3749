"""The review by HTTP: ``GET /review`` lists the most doubtful links and how many answers are worth giving;
``POST /review/answers`` answers one; ``GET /review/export`` gives what was answered as a ZIP archive."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from streamreid._yaml import validate
from streamreid.association.review_queue import Question
from streamreid.runs.review import Review
from streamreid.serving.corrections import MOST_TRACKS, correction_view
from streamreid.serving.request_bodies import json_object
from streamreid.serving.worker_pool import WorkerPool

__all__ = ["add_review", "review_view"]

_SECONDS = 60.0
"""Seconds that weighing all pairs of tracks may take before the answer is 503."""

Track = tuple[str, int]


class Answer(BaseModel):
    """An answer to a question of the review."""

    model_config = ConfigDict(extra="forbid")

    one: Track
    other: Track
    same: bool | None = Field(description="Whether both are one person; null: nobody can tell.")
    tracks: list[Track] = Field(default=[], max_length=MOST_TRACKS, description="As the question said.")


def review_view(review: Review, most: int = 10) -> dict[str, Any]:
    """Questions, and how many answers were given and are worth giving."""
    questions = [asdict(question) for question in review.questions(most)]
    return {"answered": review.answered(), "worth_answering": review.remaining(), "questions": questions}


def add_review(app: FastAPI, review: Review, export: Callable[[Path], object] | None = None) -> None:
    """Add the paths to an application.

    Args:
        app: The application.
        review: Of the run.
        export: Writes what was answered into a folder; None where that is not possible yet.
    """
    weighing = WorkerPool("weighing links", threads=2, waiting=14, seconds=_SECONDS)

    @app.get("/review")
    async def questions(most: int = Query(default=10, ge=1, le=100)) -> Response:
        return await weighing.run(lambda: JSONResponse(review_view(review, most)))

    @app.post("/review/answers")
    async def answer(request: Request) -> Response:
        body = json_object(request.headers.get("content-type", ""), await request.body(), what="an answer")
        said = validate(Answer, body, where="answer")
        question = Question(said.one, said.other, False, 0.5, 0.0, tuple(said.tracks))

        def done() -> Response:
            return JSONResponse([correction_view(c) for c in review.answer(question, same=said.same, actor="HTTP")])

        return await weighing.run(done)

    if export is None:
        return
    write = export

    @app.get("/review/export")
    async def exported() -> Response:
        def archive() -> Response:
            headers = {"Content-Disposition": 'attachment; filename="review.zip"'}
            return Response(_zipped(write), media_type="application/zip", headers=headers)

        return await weighing.run(archive)


def _zipped(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "review"
        write(folder)
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder))
        return data.getvalue()
