"""The HTTP interface and the page of a run that is over: what can be asked of a live run, at the same addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from streamreid.config import ServerConfig
from streamreid.errors import CameraNotFound, ConfigError
from streamreid.runs.review_export import export_review
from streamreid.serving import HttpServer, open_sessions, parse_address
from streamreid.serving.access_control import AccessControl, is_loopback
from streamreid.serving.app import add_errors
from streamreid.serving.corrections import add_corrections
from streamreid.serving.review import add_review
from streamreid.serving.server_sent_events import add_events
from streamreid.serving.sessions import Sessions
from streamreid.serving.worker_pool import WorkerPool
from streamreid.web.finished_view import FinishedView
from streamreid.web.frame import Frame

__all__ = ["make_finished_app", "page_server"]

_READ_SECONDS = 60.0
"""Seconds that an answer may take before it is 503: the first one reads the results."""

Asked = Annotated[list[str] | None, Query(alias="place")]
Since = Annotated[str | None, Query(alias="from")]
Until = Annotated[str | None, Query(alias="to")]
Least = Annotated[int, Query(ge=0, le=1_000_000)]


def make_finished_app(view: FinishedView, sessions: Sessions) -> AccessControl:
    """The application.

    Args:
        view: The run.
        sessions: Who may look and who may change.
    """
    app = FastAPI(title="streamreid", description=__doc__ or "", docs_url=None, redoc_url=None)
    add_errors(app)
    reading = WorkerPool("reading results", threads=2, waiting=14, seconds=_READ_SECONDS)

    async def answer(call: Callable[[], Any]) -> Response:
        return await reading.run(lambda: JSONResponse(call()))

    _add_cameras_and_people(app, view, answer)
    _add_places(app, view, answer)
    if view.corrections is not None:
        add_corrections(app, view.corrections, reading)
    if view.review is not None:
        add_review(app, view.review, lambda folder: export_review(view.finished, folder))
    add_events(app, view.hub)

    @app.get("/")
    async def index() -> Response:
        return RedirectResponse("/page/", 303)

    @app.get("/healthz")
    async def healthy() -> Response:
        return PlainTextResponse("ok")

    Frame(view, sessions).add(app)
    return AccessControl(cast(Any, app), sessions, page=True)


Answer = Callable[[Callable[[], Any]], Any]


def _add_cameras_and_people(app: FastAPI, view: FinishedView, answer: Answer) -> None:
    @app.get("/cameras")
    async def cameras() -> Response:
        return cast(Response, await answer(view.cameras))

    @app.get("/cameras/{name}")
    async def camera(name: str) -> Response:
        def found() -> dict[str, Any]:
            known = {camera["name"]: camera for camera in view.cameras()}
            if name not in known:
                raise CameraNotFound(name, list(known)[:20])
            return known[name]

        return cast(Response, await answer(found))

    @app.get("/identities")
    async def identities(camera: str | None = None, limit: int = Query(default=1000, ge=1, le=100_000)) -> Response:
        return cast(Response, await answer(lambda: view.people(limit, camera)))

    @app.get("/identities/{global_id}")
    async def identity(global_id: int) -> Response:
        def found() -> dict[str, Any]:
            person = view.person(global_id)
            if person is None:
                raise HTTPException(404, f"the run has no identity {global_id}")
            return person

        return cast(Response, await answer(found))

    @app.get("/run")
    async def state() -> Response:
        return cast(Response, await answer(view.run))


def _add_places(app: FastAPI, view: FinishedView, answer: Answer) -> None:
    @app.get("/plan/picture")
    async def plan() -> Response:
        data = None if view.plan is None else view.plan.picture
        if data is None:
            raise HTTPException(404, "the run has no plan of the ground")
        return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})

    @app.get("/zones")
    async def zones() -> Response:
        return cast(Response, await answer(view.places))

    @app.get("/counts")
    async def counts(
        every: str | None = None,
        place: Asked = None,
        since: Since = None,
        until: Until = None,
        min_people: Least = 0,
    ) -> Response:
        asked = {"places": place or [], "since": since, "until": until, "min_people": min_people}
        return cast(Response, await answer(lambda: {"rows": view.counts(every, **asked)}))

    @app.get("/flows")
    async def flows(place: Asked = None, since: Since = None, until: Until = None, min_people: Least = 0) -> Response:
        asked = {"places": place or [], "since": since, "until": until, "min_people": min_people}
        return cast(Response, await answer(lambda: {"rows": view.flows(**asked)}))


def page_server(view: FinishedView, config: ServerConfig) -> HttpServer:
    """The server of a page of a run that is over; use it as a context manager.

    Args:
        view: What is shown.
        config: Where to listen, and with which tokens.

    Raises:
        ConfigError: The address is taken or wrong, or open to others without a token.
    """
    host, port = parse_address(config.listen or "8080")
    sessions = open_sessions(config)
    if not sessions.needed and not is_loopback(host):
        raise ConfigError(
            f"showing the page at '{config.listen}' lets other machines in, which needs a token: set the environment "
            f"variable STREAMREID_TOKEN; or show it on this machine only: --listen {port}"
        )
    server = HttpServer(host, port)
    server.serve(make_finished_app(view, sessions), websockets=True)
    return server
