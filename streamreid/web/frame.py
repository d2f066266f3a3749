"""The frame of all pages: addresses, templates, login, static files, still pictures, the WebSocket."""

from __future__ import annotations

import asyncio
import mimetypes
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import FastAPI, HTTPException, Query, Request, WebSocket
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from streamreid.errors import StreamReIDError
from streamreid.secrets import redact
from streamreid.serving.access_control import LOGIN_PATH, ROLE, SOCKET_PATH, session_of
from streamreid.serving.sessions import SESSION_COOKIE, SESSION_SECONDS, Sessions
from streamreid.serving.worker_pool import WorkerPool
from streamreid.web.pages import all_pages
from streamreid.web.picture_search import add_picture_search
from streamreid.web.pictures import PictureFeed, width_for
from streamreid.web.registry import Asked
from streamreid.web.rendering import Renderer, colour_sheet
from streamreid.web.site_view import SiteView
from streamreid.web.socket import Viewers, message
from streamreid.web.texts import texts_for

__all__ = ["POLICY", "Frame"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every page: scripts and styles only from files of ours, nothing inline."""

_STATIC = Path(__file__).parent / "static"

_PAGE_SECONDS = 15.0
"""Seconds that a page may take to be put together before the answer is 503."""

_WRONG_TOKEN_SECONDS = 0.5
"""Seconds until a wrong token is said to be wrong, so that few can be tried."""

_FORM_BYTES = 8192
"""Of a login: a token has at most 4096 characters."""


Time = Annotated[float | None, Query(allow_inf_nan=False)]
"""A capture time in the query of an address."""


class Frame:
    """The pages of a site, for one application.

    Args:
        site: What they show.
        sessions: Who may look and who may change.
        feed: Moving pictures; None where there are none.
    """

    def __init__(self, site: SiteView, sessions: Sessions, feed: PictureFeed | None = None) -> None:
        self._site, self._sessions = site, sessions
        self._pages = all_pages()
        self._render = Renderer(site, self._pages, signed_in=sessions.needed)
        self._viewers = Viewers(site.hub, feed, sessions)

    @property
    def viewers(self) -> int:
        """How many pages are open."""
        return self._viewers.count

    def add(self, app: FastAPI) -> None:
        """Add everything to an application."""
        self._add_login(app)
        self._add_files(app)
        self._add_pictures(app)
        self._add_pages(app)
        add_picture_search(app, self._site)

        @app.websocket(SOCKET_PATH)
        async def socket(connection: WebSocket) -> None:
            await self._viewers.serve(connection)

    # ---------------------------------------------------------------- login

    def _add_login(self, app: FastAPI) -> None:
        @app.get(LOGIN_PATH, include_in_schema=False)
        async def form(request: Request) -> Response:
            if not self._sessions.needed:
                return RedirectResponse("/page/", 303)
            return self._login(request)

        @app.post(LOGIN_PATH, include_in_schema=False)
        async def login(request: Request) -> Response:
            body = (await request.body())[:_FORM_BYTES].decode("utf-8", "replace")
            role = self._sessions.role_of_token(dict(parse_qsl(body)).get("token", ""))
            if role is None:
                await asyncio.sleep(_WRONG_TOKEN_SECONDS)
                return self._login(request, "login.wrong", 401)
            answer = RedirectResponse("/page/", 303)
            answer.set_cookie(
                SESSION_COOKIE,
                self._sessions.open(role, request.headers.get("host", "")),
                max_age=int(SESSION_SECONDS),
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
            )
            return answer

        @app.post("/page/logout", include_in_schema=False)
        async def logout(request: Request) -> Response:
            value = session_of(request.headers.get("cookie", ""))
            if value is not None:
                self._sessions.close(value)
            answer = RedirectResponse(LOGIN_PATH if self._sessions.needed else "/page/", 303)
            answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
            return answer

    def _login(self, request: Request, problem: str = "", status: int = 200) -> Response:
        texts = texts_for(request.headers.get("accept-language", ""))
        html = self._render("login.html", texts, theme=_theme(request), problem=problem, title="login.title")
        return _html(html, status)

    # ---------------------------------------------------------------- files and pictures

    def _add_files(self, app: FastAPI) -> None:
        @app.get("/page/static/{name}", include_in_schema=False)
        async def static(name: str) -> Response:
            found = _static(name)
            if found is None:
                raise HTTPException(404, "there is no such file")
            data, media = found
            return Response(data, media_type=media, headers={"Cache-Control": "no-cache"})

    def _add_pictures(self, app: FastAPI) -> None:
        pool = WorkerPool("making pictures", threads=4, waiting=28, seconds=_PAGE_SECONDS)

        def made(camera: str, width: int, time: float | None) -> tuple[bytes, bytes]:
            found = self._site.frame(camera, width_for(width), time)
            if found is None:
                raise HTTPException(404, f"there is no picture of camera '{camera}'")
            return found

        @app.get("/page/picture/{camera}", include_in_schema=False)
        async def picture(camera: str, width: int = 640, time: Time = None) -> Response:
            _, jpeg = await pool.run(lambda: made(camera, width, time))
            if not jpeg:
                raise HTTPException(404, f"there is no picture of camera '{camera}'")
            return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

        # As in messages of the WebSocket: the picture and who is where in it belong together.
        @app.get("/page/frame/{camera}", include_in_schema=False)
        async def frame(camera: str, width: int = 640, time: Time = None) -> Response:
            header, jpeg = await pool.run(lambda: made(camera, width, time))
            data = message(0, [(header, jpeg, 0)])
            return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

        @app.get("/page/crop/{camera}/{track}", include_in_schema=False)
        async def crop(camera: str, track: int, time: Time = None) -> Response:
            jpeg = await pool.run(lambda: self._site.crop((camera, track), time))
            if jpeg is None:  # nothing is wrong with that: the page shows a drawn figure instead
                return Response(status_code=204, headers={"Cache-Control": "no-store"})
            return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    # ---------------------------------------------------------------- pages

    def _add_pages(self, app: FastAPI) -> None:
        pool = WorkerPool("showing pages", threads=4, waiting=28, seconds=_PAGE_SECONDS)

        @app.get("/page", include_in_schema=False)
        @app.get("/page/", include_in_schema=False)
        async def first() -> Response:
            return RedirectResponse(f"/page/{self._pages.of(self._site)[0].name}", 303)

        @app.get("/page/{name}", include_in_schema=False)
        @app.get("/page/{name}/{rest:path}", include_in_schema=False)
        async def shown(request: Request, name: str, rest: str = "") -> Response:
            texts = texts_for(request.headers.get("accept-language", ""))
            asked = Asked(self._site, texts, request.scope.get(ROLE) or "viewer", rest, dict(request.query_params))
            theme = _theme(request)

            def made() -> Response:
                try:
                    page = self._pages.find(name, self._site)
                    values = page.show(asked)
                except StreamReIDError as error:
                    problem = redact(error)
                    html = self._render("problem.html", texts, asked, theme=theme, problem=problem, title="problem")
                    return _html(html, error.http_status)
                title = page.title_in(self._site)
                return _html(self._render(page.template, texts, asked, theme=theme, page=page, title=title, **values))

            return await pool.run(made)


def _html(text: str, status: int = 200) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(text, status, headers=headers)


def _theme(request: Request) -> str:
    """'dark' or 'light' if the viewer chose, else empty: as the system."""
    theme = request.cookies.get("streamreid_theme", "")
    return theme if theme in ("dark", "light") else ""


@lru_cache(maxsize=64)
def _static(name: str) -> tuple[bytes, str] | None:
    """A file of the folder ``static``, and its media type."""
    if name == "colours.css":
        return colour_sheet().encode(), "text/css"
    path = _STATIC / name
    if path.parent != _STATIC or not path.is_file():
        return None
    return path.read_bytes(), mimetypes.guess_type(name)[0] or "application/octet-stream"
