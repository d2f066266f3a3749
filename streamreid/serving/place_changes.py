"""Zones and lines by HTTP: drawn, changed and removed while the run goes on."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from streamreid.config import LineConfig, ZoneConfig
from streamreid.runs.place_editor import PlaceEditor
from streamreid.runs.place_overrides import place_data
from streamreid.serving.event_stream import EventHub
from streamreid.serving.openapi import body_of
from streamreid.serving.request_bodies import request_object
from streamreid.serving.worker_pool import WorkerPool

__all__ = ["add_place_changes"]


def add_place_changes(
    app: FastAPI, editor: PlaceEditor, hub: EventHub, reading: WorkerPool, editing: WorkerPool
) -> None:
    """Add the paths.

    Args:
        app: The application.
        editor: Of the run.
        hub: Told of changes.
        reading: Answers questions.
        editing: Carries out changes.
    """

    def drawn() -> Response:
        return JSONResponse({"zones": [*map(place_data, editor.zones)], "lines": [*map(place_data, editor.lines)]})

    async def edited(act: Callable[[], ZoneConfig | LineConfig], status: int = 200) -> Response:
        answer: Response = await editing.run(lambda: JSONResponse(place_data(act()), status))
        tell()
        return answer

    def tell() -> None:
        hub.publish("place", {"kind": "places_changed"})

    @app.get("/places")
    async def all_places() -> Response:
        return await reading.run(drawn)

    @app.get("/zones/{name}")
    async def one_zone(name: str, camera: str | None = None) -> Response:
        return await reading.run(lambda: JSONResponse(place_data(editor.zone(name, camera))))

    @app.post("/zones", status_code=201, openapi_extra=body_of("Zone"))
    async def add_zone(request: Request) -> Response:
        body = await request_object(request)
        return await edited(lambda: editor.add_zone(body), 201)

    @app.patch("/zones/{name}", openapi_extra=body_of("ZonePart"))
    async def change_zone(name: str, request: Request, camera: str | None = None) -> Response:
        body = await request_object(request)
        return await edited(lambda: editor.change_zone(name, body, camera))

    @app.delete("/zones/{name}", status_code=204, response_class=Response)
    async def remove_zone(name: str, camera: str | None = None) -> None:
        await editing.run(lambda: editor.remove_zone(name, camera))
        tell()

    @app.get("/lines/{name}")
    async def one_line(name: str, camera: str | None = None) -> Response:
        return await reading.run(lambda: JSONResponse(place_data(editor.line(name, camera))))

    @app.post("/lines", status_code=201, openapi_extra=body_of("Line"))
    async def add_line(request: Request) -> Response:
        body = await request_object(request)
        return await edited(lambda: editor.add_line(body), 201)

    @app.patch("/lines/{name}", openapi_extra=body_of("LinePart"))
    async def change_line(name: str, request: Request, camera: str | None = None) -> Response:
        body = await request_object(request)
        return await edited(lambda: editor.change_line(name, body, camera))

    @app.delete("/lines/{name}", status_code=204, response_class=Response)
    async def remove_line(name: str, camera: str | None = None) -> None:
        await editing.run(lambda: editor.remove_line(name, camera))
        tell()
