"""The HTTP interface of a live run.

``GET /cameras`` and ``/cameras/NAME``; ``POST /cameras`` adds one (the keys of the YAML), ``PATCH /cameras/NAME`` changes some of its settings,
``DELETE /cameras/NAME`` takes it out; ``POST /cameras/NAME/pause`` and ``/resume``. ``GET /identities`` and ``/identities/ID``; ``GET /events``
(server-sent events; ``?topics=identity,camera,people``); ``GET /run``; ``GET /metrics`` (Prometheus), ``/healthz``, ``/readyz``. Changes are
kept beside the results and hold when the run is started again there; ``GET /changes`` says how cameras differ from the cameras file, ``DELETE /changes``
returns to it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

from fastapi import Body, FastAPI, Header, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from streamreid._yaml import validate
from streamreid.config import CameraConfig
from streamreid.errors import CameraExists, CameraNotFound, ConfigError, SourceError, StreamReIDError
from streamreid.pipeline import Pipeline
from streamreid.pipeline.changes import CameraChanges
from streamreid.secrets import redact
from streamreid.serving.board import Board
from streamreid.serving.guard import Guard
from streamreid.serving.hub import EventHub, Topic
from streamreid.serving.metrics import Metrics
from streamreid.serving.view import camera_view, health, identity_views, readiness, run_view

__all__ = ["make_app"]

_TOPICS: tuple[Topic, ...] = ("identity", "camera", "people")
_POLL_SECONDS = 0.1
_COMMENT_SECONDS = 10.0
_MAX_LISTENERS = 64
_BATCH = 500


def make_app(pipeline: Pipeline, board: Board, hub: EventHub, changes: CameraChanges, *, token: str | None = None) -> Guard:
    """The application.

    Args:
        pipeline: The run.
        board: Gets the run's results as a sink.
        hub: Gets its events.
        changes: Keeps what is changed.
        token: See :class:`streamreid.serving.guard.Guard`.
    """
    app = FastAPI(title="streamreid", description=__doc__ or "", docs_url=None, redoc_url=None)

    @app.exception_handler(StreamReIDError)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": redact(error)}, cast(StreamReIDError, error).http_status)

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)
        return JSONResponse({"error": redact(error.detail)}, error.status_code, headers=error.headers)

    # FastAPI's own answer repeats what was sent, and with it passwords.
    @app.exception_handler(RequestValidationError)
    async def misunderstood(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"error": "; ".join(_mistake(item) for item in error.errors())}, 422)

    _add_cameras(app, pipeline, changes)
    _add_changes(app, pipeline, changes)
    _add_people(app, pipeline, board)
    _add_state(app, pipeline)
    _add_events(app, hub)
    pipeline.cameras.subscribe(lambda name, what, why: hub.publish("camera", {"camera": name, "state": what, "reason": why}))
    return Guard(cast(Any, app), token)


def _mistake(item: dict[str, Any]) -> str:
    """What is wrong with a request, without what was sent."""
    where, *rest = (str(part) for part in item["loc"])
    if where == "body":
        return "the body is not what is wanted: one JSON object with the keys of a camera, sent with 'Content-Type: application/json'"
    return f"{where} {'.'.join(rest)}: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _add_cameras(app: FastAPI, pipeline: Pipeline, changes: CameraChanges) -> None:
    cameras = pipeline.cameras

    def known(name: str) -> CameraConfig:
        found = [c for c in cameras.configs if c.name == name]
        if not found:
            raise CameraNotFound(name, (c.name for c in cameras.configs))
        return found[0]

    def view(config: CameraConfig) -> dict[str, Any]:
        cameras.look()
        return camera_view(pipeline, config)

    @app.get("/cameras")
    def all_cameras() -> list[dict[str, Any]]:
        cameras.look()
        return [camera_view(pipeline, config) for config in cameras.configs]

    @app.get("/cameras/{name}")
    def one_camera(name: str) -> dict[str, Any]:
        return view(known(name))

    # Secrets in ${...} are not expanded here: whoever may add a camera is not therefore to read the environment.
    @app.post("/cameras", status_code=201)
    def add(body: dict[str, Any] = Body()) -> dict[str, Any]:
        config = validate(CameraConfig, body, where="camera")
        if any(c.name == config.name for c in cameras.configs):
            raise CameraExists(config.name, f"change it with PATCH /cameras/{config.name}")
        cameras.add(config)
        changes.save(cameras.configs)
        return view(config)

    @app.patch("/cameras/{name}")
    def change(name: str, body: dict[str, Any] = Body()) -> dict[str, Any]:
        config = validate(CameraConfig, {**known(name).model_dump(), **body}, where="camera")
        if config.name != name:
            raise ConfigError(f"camera '{name}': a name cannot be changed; remove the camera and add another")
        cameras.change(config)
        changes.save(cameras.configs)
        return view(config)

    @app.delete("/cameras/{name}", status_code=204, response_class=Response)
    def remove(name: str) -> None:
        cameras.remove(name)
        changes.save(cameras.configs)

    @app.post("/cameras/{name}/pause")
    def pause(name: str) -> dict[str, Any]:
        cameras.pause(name)
        changes.save(cameras.configs)
        return view(known(name))

    @app.post("/cameras/{name}/resume")
    def resume(name: str) -> dict[str, Any]:
        try:
            cameras.resume(name)
        except SourceError as error:
            cameras.fail(name, error)
            raise
        changes.save(cameras.configs)
        return view(known(name))


def _add_changes(app: FastAPI, pipeline: Pipeline, changes: CameraChanges) -> None:
    @app.get("/changes")
    def differences() -> dict[str, list[str]]:
        return changes.differences(pipeline.cameras.configs)

    @app.delete("/changes", status_code=204, response_class=Response)
    def revert() -> None:
        changes.revert(pipeline.cameras)


def _add_people(app: FastAPI, pipeline: Pipeline, board: Board) -> None:
    @app.get("/identities")
    def identities(camera: str | None = None, limit: int = Query(default=1000, ge=1, le=100_000)) -> list[dict[str, Any]]:
        found = identity_views(pipeline, board.sightings())
        return [v for v in found if camera is None or camera in v["cameras"]][:limit]

    @app.get("/identities/{global_id}")
    def identity(global_id: int) -> dict[str, Any]:
        for view in identity_views(pipeline, board.sightings()):
            if view["global_id"] == global_id:
                return view
        raise HTTPException(404, f"identity {global_id} is not known (any more)")


def _add_state(app: FastAPI, pipeline: Pipeline) -> None:
    metrics = Metrics(pipeline)

    @app.get("/")
    def index() -> dict[str, Any]:
        return {"streamreid": "live run", "paths": sorted({str(getattr(route, "path", "")) for route in app.routes} - {"", "/"})}

    @app.get("/run")
    def state() -> dict[str, Any]:
        return run_view(pipeline)

    @app.get("/metrics")
    def figures() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/healthz")
    def healthy() -> Response:
        good, why = health(pipeline)
        return PlainTextResponse(why, 200 if good else 503)

    @app.get("/readyz")
    def ready() -> Response:
        good, why = readiness(pipeline)
        return PlainTextResponse(why, 200 if good else 503)


def _add_events(app: FastAPI, hub: EventHub) -> None:
    @app.get("/events")
    async def events(topics: str = "identity,camera", last_event_id: int | None = Header(default=None)) -> Response:
        wanted = [cast(Topic, name.strip()) for name in topics.split(",") if name.strip()]
        unknown = sorted(set(wanted) - set(_TOPICS))
        if unknown or not wanted:
            raise HTTPException(422, f"unknown topics: {', '.join(unknown) or 'none given'}; known: {', '.join(_TOPICS)}")
        if hub.listeners >= _MAX_LISTENERS:
            raise HTTPException(503, f"{_MAX_LISTENERS} clients listen already")
        start = hub.number if last_event_id is None else last_event_id
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(_stream(hub, wanted, start), media_type="text/event-stream", headers=headers)


async def _stream(hub: EventHub, topics: list[Topic], number: int) -> AsyncIterator[str]:
    """Events as they come. A client that does not read holds up only this generator; what it misses is told when it reads again."""
    with hub.listening(topics):
        yield ": streamreid\n\n"
        silent = 0.0
        while True:
            ended = hub.closed
            events, number, lost = hub.after(number, topics)
            if lost:
                yield f"event: lost\ndata: {json.dumps({'events': lost})}\n\n"
            for start in range(0, len(events), _BATCH):
                piece = events[start : start + _BATCH]
                yield "".join(f"id: {e.number}\nevent: {e.topic}\ndata: {json.dumps(e.data)}\n\n" for e in piece)
            if ended:
                yield "event: end\ndata: {}\n\n"
                return
            silent = 0.0 if events else silent + _POLL_SECONDS
            if silent >= _COMMENT_SECONDS:
                # Proxies close connections that say nothing, and a client that is gone is only noticed by writing to it.
                yield ": still here\n\n"
                silent = 0.0
            await asyncio.sleep(_POLL_SECONDS)
