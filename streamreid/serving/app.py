"""The HTTP interface of a live run.

``GET /cameras`` and ``/cameras/NAME``; ``POST /cameras`` adds one (the keys of the YAML), ``PATCH /cameras/NAME``
changes some of its settings, ``DELETE /cameras/NAME`` takes it out; ``POST /cameras/NAME/pause`` and ``/resume``.
``GET /identities`` and ``/identities/ID``, which ``POST /identities/ID/rename``, ``/staff``, ``/merge``,
``/different``, ``/split`` and ``/forget`` correct; ``GET /corrections``, ``POST /corrections/undo``.
``GET /events`` (server-sent events;
``?topics=identity,camera,people,place``); ``GET /zones``, ``/counts`` and ``/flows``; ``GET /run``; ``GET /metrics``
(Prometheus), ``/healthz``, ``/readyz``. ``GET /places`` says how zones and lines are drawn; ``POST /zones`` and
``/lines`` draw one, ``PATCH`` and ``DELETE /zones/NAME`` change it and take it out (``?camera=`` where several cameras
have one of that name). ``POST /camera-tests`` tries a camera, ``/camera-searches`` asks the network for some,
``/camera-streams`` one of those for its streams, ``/calibrations`` works a calibration out of clicks; ``/plan`` and
``/uploads/plan`` are about a plan of the ground; ``GET /cameras-file`` says what would be written into it, ``POST``
writes it. Changes are kept beside the results and hold when the run is started again there; ``GET /changes`` says how
cameras and places differ from the cameras file, ``DELETE /changes`` returns to it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.errors import StreamReIDError
from streamreid.pipeline import Pipeline
from streamreid.runs.place_editor import PlaceEditor
from streamreid.secrets import redact
from streamreid.serving.access_control import AccessControl
from streamreid.serving.camera_editor import CameraEditor
from streamreid.serving.camera_setup import add_camera_setup
from streamreid.serving.corrections import add_corrections
from streamreid.serving.event_stream import EventHub
from streamreid.serving.live_places import LivePlaces
from streamreid.serving.live_sink import LiveSink
from streamreid.serving.metrics import Metrics
from streamreid.serving.openapi import CAMERA, CAMERA_PART, described
from streamreid.serving.place_changes import add_place_changes
from streamreid.serving.request_bodies import request_object
from streamreid.serving.resources import camera_view, health, identity_views, readiness, run_view
from streamreid.serving.server_sent_events import add_events
from streamreid.serving.sessions import Sessions
from streamreid.serving.setup_parts import SetupParts
from streamreid.serving.worker_pool import Claim, WorkerPool

__all__ = ["add_errors", "make_app"]

log = logging.getLogger(__name__)

MOST_IDENTITIES = 5000
"""In one answer, whatever limit is asked for: about 2 MB."""

MOST_WAYS = 100
"""In one answer, the most frequent."""

ERROR_CHARACTERS = 4000
"""Of an error's text in an answer."""

_READ_SECONDS = 10.0
"""Seconds that reading figures may take before the answer is 503."""

_SAMPLING_SECONDS = 60.0
"""Seconds that working out intervals may take before the answer is 503: it takes some, and more beside a busy run."""

_CHANGE_SECONDS = 30.0
"""A camera that is not open by then is not added. FFmpeg uses ``connect_timeout`` (5 s) twice."""


def make_app(
    pipeline: Pipeline,
    board: LiveSink,
    hub: EventHub,
    changes: CameraOverrides,
    *,
    places: PlaceEditor | None = None,
    setup: SetupParts | None = None,
    sessions: Sessions | None = None,
    page: Callable[[FastAPI], None] | None = None,
) -> AccessControl:
    """The application.

    Args:
        pipeline: The run.
        board: Gets the run's results as a sink.
        hub: Gets its events.
        changes: Keeps what is changed.
        places: Changes zones and lines; without it changes end with the run.
        setup: What setting cameras up needs; without it there is no cameras file.
        sessions: See :class:`streamreid.serving.access_control.AccessControl`.
        page: Adds a page for people.
    """
    drawing = places or PlaceEditor(pipeline)
    app = FastAPI(title="streamreid", description=__doc__ or "", docs_url=None, redoc_url=None)
    add_errors(app)
    reading = WorkerPool("reading figures", threads=4, waiting=28, seconds=_READ_SECONDS)
    editing = WorkerPool("opening and changing cameras", threads=8, waiting=8, seconds=_CHANGE_SECONDS)
    _add_cameras(app, pipeline, CameraEditor(pipeline.cameras, changes), reading, editing)
    _add_changes(app, pipeline, changes, drawing, reading, editing)
    _add_people(app, pipeline, reading)
    add_corrections(app, pipeline.corrections, reading)
    live_places = LivePlaces(pipeline, board.settled)
    _add_places(app, live_places, reading)
    add_place_changes(app, drawing, hub, reading, editing)
    add_camera_setup(app, pipeline, setup or SetupParts(), reading)
    _add_state(app, pipeline, live_places, reading, has_page=page is not None)
    add_events(app, hub)
    described(app)
    pipeline.cameras.subscribe(
        lambda name, what, why: hub.publish("camera", {"camera": name, "state": what, "reason": why})
    )
    if page is not None:
        page(app)
    return AccessControl(cast(Any, app), sessions or Sessions(None), page=page is not None)


# ---------------------------------------------------------------- what goes wrong


def _refusal(text: object, status: int, headers: Any = None) -> JSONResponse:
    """An answer that says why; secrets and halves of characters are taken out."""
    said = redact(text).encode("utf-8", "replace").decode()
    said = said if len(said) <= ERROR_CHARACTERS else f"{said[:ERROR_CHARACTERS]} ..."
    return JSONResponse({"error": said}, status, headers=headers)


def add_errors(app: FastAPI) -> None:
    """Answer what goes wrong with JSON that says why, without secrets."""

    @app.exception_handler(StreamReIDError)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StreamReIDError)
        return _refusal(error, error.http_status)

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)
        return _refusal(error.detail, error.status_code, error.headers)

    # FastAPI's own answer repeats what was sent, and with it passwords.
    @app.exception_handler(RequestValidationError)
    async def misunderstood(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _refusal("; ".join(_mistake(item) for item in error.errors()), 422)

    # A fault of ours: what it says may hold passwords, so it goes to the log without them, and not to whoever asked.
    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        where = "".join(traceback.format_exception(error))
        log.error("%s %s failed: %s", request.method, request.url.path, redact(where[-ERROR_CHARACTERS:]))
        return _refusal(f"internal error ({type(error).__name__}); the log of the run says more", 500)


def _mistake(item: dict[str, Any]) -> str:
    """What is wrong with a request, without what was sent."""
    where, *rest = (str(part) for part in item["loc"])
    return f"{where} {'.'.join(rest)}: {item['msg'][:1].lower()}{item['msg'][1:]}"


# ---------------------------------------------------------------- cameras


def _add_cameras(
    app: FastAPI, pipeline: Pipeline, editor: CameraEditor, reading: WorkerPool, editing: WorkerPool
) -> None:
    cameras = pipeline.cameras

    def shown(name: str, status: int = 200) -> Response:
        cameras.refresh_statistics()
        return JSONResponse(camera_view(pipeline, editor.known(name)), status)

    def everything() -> Response:
        cameras.refresh_statistics()
        return JSONResponse([camera_view(pipeline, config) for config in cameras.configs])

    async def edited(act: Callable[[Claim], str], status: int = 200) -> Response:
        claim = Claim()
        return await editing.run(lambda: shown(act(claim), status), claim=claim, late="the camera stays as it was")

    @app.get("/cameras")
    async def all_cameras() -> Response:
        return await reading.run(everything)

    @app.get("/cameras/{name}")
    async def one_camera(name: str) -> Response:
        return await reading.run(lambda: shown(name))

    @app.post("/cameras", status_code=201, openapi_extra=CAMERA)
    async def add(request: Request) -> Response:
        body = await request_object(request)
        return await edited(lambda claim: editor.add(body, claim).name, 201)

    @app.patch("/cameras/{name}", openapi_extra=CAMERA_PART)
    async def change(name: str, request: Request) -> Response:
        body = await request_object(request)
        return await edited(lambda claim: editor.change(name, body, claim).name)

    @app.delete("/cameras/{name}", status_code=204, response_class=Response)
    async def remove(name: str) -> None:
        await editing.run(lambda: editor.remove(name))

    @app.post("/cameras/{name}/pause")
    async def pause(name: str) -> Response:
        return await editing.run(lambda: shown(editor.pause(name).name))

    @app.post("/cameras/{name}/resume")
    async def resume(name: str) -> Response:
        return await edited(lambda claim: editor.resume(name, claim).name)


def _add_changes(
    app: FastAPI,
    pipeline: Pipeline,
    changes: CameraOverrides,
    drawing: PlaceEditor,
    reading: WorkerPool,
    editing: WorkerPool,
) -> None:
    def all_differences() -> Response:
        places = {place: [what] for place, what in drawing.differences.items()}
        return JSONResponse({**changes.differences(pipeline.cameras.configs), **places})

    def return_to_file() -> None:
        changes.revert(pipeline.cameras)
        drawing.revert()

    @app.get("/changes")
    async def differences() -> Response:
        return await reading.run(all_differences)

    @app.delete("/changes", status_code=204, response_class=Response)
    async def revert() -> None:
        await editing.run(return_to_file)


# ---------------------------------------------------------------- people and the run


def _add_people(app: FastAPI, pipeline: Pipeline, reading: WorkerPool) -> None:
    @app.get("/identities")
    async def identities(camera: str | None = None, limit: int = Query(default=1000, ge=1, le=100_000)) -> Response:
        def found() -> Response:
            views = identity_views(pipeline, camera=camera, limit=min(limit, MOST_IDENTITIES))
            return JSONResponse(views)

        return await reading.run(found)

    @app.get("/identities/{global_id}")
    async def identity(global_id: int) -> Response:
        def found() -> Response:
            for view in identity_views(pipeline, only=global_id):
                return JSONResponse(view)
            raise HTTPException(404, f"identity {global_id} is not known (any more)")

        return await reading.run(found)


Asked = Annotated[list[str] | None, Query(alias="place")]
Since = Annotated[str | None, Query(alias="from")]
Until = Annotated[str | None, Query(alias="to")]
Least = Annotated[int, Query(ge=0, le=1_000_000)]


def _add_places(app: FastAPI, places: LivePlaces, reading: WorkerPool) -> None:
    sampling = WorkerPool("working out intervals", threads=1, waiting=7, seconds=_SAMPLING_SECONDS)

    @app.get("/zones")
    async def zones() -> Response:
        return await reading.run(lambda: JSONResponse(places.zones()))

    @app.get("/counts")
    async def counts(
        every: str | None = None,
        place: Asked = None,
        since: Since = None,
        until: Until = None,
        min_people: Least = 0,
        interval: bool = False,
    ) -> Response:
        asked = {"places": place or [], "since": since, "until": until, "min_people": min_people}
        pool = sampling if interval else reading
        return await pool.run(lambda: JSONResponse({"rows": list(places.counts(every, interval=interval, **asked))}))

    @app.get("/flows")
    async def flows(place: Asked = None, since: Since = None, until: Until = None, min_people: Least = 0) -> Response:
        def found() -> Response:
            table = places.flows(places=place or [], since=since, until=until, min_people=min_people)
            ways = [{"places": list(way), "people": people} for way, people in table.ways[:MOST_WAYS]]
            return JSONResponse({"rows": list(table), "ways": ways})

        return await reading.run(found)


def _add_state(app: FastAPI, pipeline: Pipeline, places: LivePlaces, reading: WorkerPool, *, has_page: bool) -> None:
    metrics = Metrics(pipeline, places)

    @app.get("/")
    async def index(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", "") and has_page:
            return RedirectResponse("/page/", 303)
        paths = {str(getattr(route, "path", "")) for route in app.routes} - {"", "/"}
        return JSONResponse({"streamreid": "live run", "paths": sorted(p for p in paths if not p.startswith("/page"))})

    @app.get("/run")
    async def state() -> Response:
        return await reading.run(lambda: JSONResponse(run_view(pipeline)))

    @app.get("/metrics")
    async def figures() -> Response:
        media = "text/plain; version=0.0.4; charset=utf-8"
        return await reading.run(lambda: Response(metrics.text(), media_type=media))

    # The probes are answered by the event loop itself: they read what is in memory and wait for no thread, database,
    # disk or camera.
    @app.get("/healthz")
    async def healthy() -> Response:
        good, why = health(pipeline)
        return PlainTextResponse(why, 200 if good else 503)

    @app.get("/readyz")
    async def ready() -> Response:
        good, why = readiness(pipeline)
        return PlainTextResponse(why, 200 if good else 503)
