"""The server: bound before the run begins, serving in a thread of its own, gone when the run ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from streamreid._threads import Thread
from streamreid._token import checked_token
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.config import ServerConfig
from streamreid.errors import ConfigError, MissingExtraError
from streamreid.pipeline import Pipeline
from streamreid.runs.place_editor import PlaceEditor
from streamreid.serving.access_control import is_loopback
from streamreid.serving.event_stream import EventHub
from streamreid.serving.listener import Listener, listen
from streamreid.serving.live_sink import LiveSink
from streamreid.serving.sessions import Sessions
from streamreid.serving.setup_parts import SetupParts
from streamreid.sinks import Sink

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI
    from pydantic import SecretStr

__all__ = [
    "TOKEN_VARIABLE",
    "VIEWER_TOKEN_VARIABLE",
    "HttpServer",
    "LivePage",
    "LiveParts",
    "Server",
    "open_sessions",
    "parse_address",
]

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "STREAMREID_TOKEN"  # noqa: S105 - the name of a variable
VIEWER_TOKEN_VARIABLE = "STREAMREID_VIEWER_TOKEN"  # noqa: S105 - the name of a variable

_STOP_SECONDS = 2.0
"""Seconds that open connections get when the run ends."""

_BACKLOG = 128
"""Connections that the system holds until they are accepted."""

_SOCKET_BYTES = 64 << 10
"""Of one message from a page: which cameras are looked at, and how large."""

_SHORT_TOKEN = 16
"""Characters below which a token can be guessed."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of '[HOST:]PORT'; without a host this machine only.

    Raises:
        ConfigError: It is no such thing.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535 or (":" in host and not host.startswith("[")):
        raise ConfigError(
            f"'{text}' is not an address to serve at: write PORT or HOST:PORT, for example 8080 or 0.0.0.0:8080"
        )
    return host.strip("[]") or "127.0.0.1", int(port)


class HttpServer:
    """Serves an application in a thread of its own. Use as a context manager.

    Args:
        host: Name or address to listen at; it is bound at once.
        port: 0 takes a free one.

    Attributes:
        address: Where it listens, for people.

    Raises:
        ConfigError: The address is taken or wrong.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = _bind(host, port)
        port = self._socket.getsockname()[1]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None

    def serve(self, app: Callable[..., Any], *, websockets: bool = False) -> None:
        """Say what is served, before the thread begins.

        Args:
            app: An ASGI application.
            websockets: Whether it serves these, too.
        """
        import uvicorn

        from streamreid.serving.connections import BoundedProtocol, drop_waiting

        # uvicorn logs every request that is none, and what fails in the application with all its texts; make_app logs
        # the latter without secrets.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        settings = uvicorn.Config(
            app,
            http=BoundedProtocol,
            loop="asyncio",  # also where uvloop is installed: it accepts connections itself, and not by our Listener
            ws="wsproto" if websockets else "none",
            ws_max_size=_SOCKET_BYTES,
            ws_per_message_deflate=False,  # pictures do not get smaller, and each viewer would pay for trying
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=1,
        )
        server = self._server = uvicorn.Server(settings)
        self._socket.make_room = lambda: drop_waiting(server.server_state.connections)
        self._thread = Thread(target=server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True)

    def __enter__(self) -> HttpServer:
        assert self._thread is not None
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()


class LivePage(Protocol):
    """A page for people beside the interface of a live run (:class:`streamreid.web.live_page.LivePage`)."""

    @property
    def sinks(self) -> Sequence[Sink]:
        """What the run must tell its results to."""

    def add(self, app: FastAPI) -> None:
        """Add it to the application."""

    def close(self) -> None:
        """The run ends."""


@dataclass(frozen=True, slots=True)
class LiveParts:
    """What a page of a live run is made of.

    Args:
        pipeline: The run.
        board: Gets its results.
        hub: Tells its events.
        changes: Keeps what is changed of its cameras.
        sessions: Who may look and who may change.
        places: Changes zones and lines.
        setup: What setting cameras up needs.
    """

    pipeline: Pipeline
    board: LiveSink
    hub: EventHub
    changes: CameraOverrides
    sessions: Sessions
    places: PlaceEditor
    setup: SetupParts


class Server:
    """The HTTP interface of a run. Use as a context manager around the run; ``sinks`` must be among its listeners.

    Args:
        pipeline: The run.
        config: Where to listen; the token may also come from the environment variable STREAMREID_TOKEN.
        changes: Keeps what is changed by HTTP; without it changes end with the run.
        places: Changes zones and lines; without it these changes end with the run.
        setup: What setting cameras up needs; without it there is no cameras file.
        page: Makes a page for people to look at; None: there is only the interface.

    Attributes:
        address: Where it listens, for people.
        board: The sink that feeds the interface.
        sinks: All that it needs to be told: ``board``, and those of the page.

    Raises:
        ConfigError: The address is taken or wrong, or open to others without a token.
        MissingExtraError: The extra ``server`` is not installed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        config: ServerConfig,
        changes: CameraOverrides | None = None,
        *,
        places: PlaceEditor | None = None,
        setup: SetupParts | None = None,
        page: Callable[[LiveParts], LivePage] | None = None,
    ) -> None:
        try:
            import uvicorn  # noqa: F401 - said now if it is missing

            from streamreid.serving.app import make_app
        except ImportError as error:
            raise MissingExtraError(error.name or "fastapi", "server", "Serving by HTTP") from error
        assert config.listen is not None
        host, port = parse_address(config.listen)
        sessions = open_sessions(config)
        if not sessions.needed and not is_loopback(host):
            raise ConfigError(
                f"serving at '{config.listen}' lets other machines in, which needs a token: set server.token: "
                f"${{{TOKEN_VARIABLE}}} in the YAML, or the environment variable {TOKEN_VARIABLE}; or serve this "
                f"machine only: --serve {port}"
            )
        self._hub = EventHub()
        self.board = LiveSink(self._hub)
        changes = changes or CameraOverrides(Path(), pipeline.cameras.configs, keep=False)
        places = places or PlaceEditor(pipeline)
        setup = setup or SetupParts()
        parts = LiveParts(pipeline, self.board, self._hub, changes, sessions, places, setup)
        self._page = None if page is None else page(parts)
        add = None if self._page is None else self._page.add
        app = make_app(
            pipeline, self.board, self._hub, changes, places=places, setup=setup, sessions=sessions, page=add
        )
        self._http = HttpServer(host, port)
        self._http.serve(app, websockets=self._page is not None)
        self.address = self._http.address
        shown: Sequence[Sink] = () if self._page is None else self._page.sinks
        self.sinks: tuple[Sink, ...] = (self.board, setup.ground, setup.heat, setup.paths, setup.colours, *shown)

    def __enter__(self) -> Server:
        self._http.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.close()
        if self._page is not None:
            self._page.close()
        self._http.__exit__(kind, value, trace)


def open_sessions(config: ServerConfig) -> Sessions:
    """Roles by the tokens of a configuration, or of the environment.

    Raises:
        ConfigError: The viewers' token is the operators', or there is no operators' token beside it, or the value of
            a variable can be none.
    """
    operator = _token(config.token, TOKEN_VARIABLE)
    viewer = _token(config.viewer_token, VIEWER_TOKEN_VARIABLE)
    if viewer is not None and operator is None:
        raise ConfigError(
            f"server.viewer_token ({VIEWER_TOKEN_VARIABLE}) needs server.token ({TOKEN_VARIABLE}) beside it, for those "
            "who may change things; without it everybody on this machine may"
        )
    if viewer is not None and viewer == operator:
        raise ConfigError("server.viewer_token is the same as server.token, so viewers could change things: choose two")
    return Sessions(operator, viewer)


def _token(secret: SecretStr | None, variable: str) -> str | None:
    """A token from the YAML, else from the environment.

    Raises:
        ConfigError: The variable's value can be none.
    """
    if secret is not None:
        token = secret.get_secret_value()
    elif variable in os.environ:
        try:
            token = checked_token(os.environ[variable])
        except ValueError as error:
            raise ConfigError(f"environment variable {variable}: {error}, or unset it") from None
    else:
        return None
    if len(token) < _SHORT_TOKEN:
        log.warning(
            "the token has %d characters and can be guessed; take %d or more random ones", len(token), _SHORT_TOKEN
        )
    return token


def _bind(host: str, port: int) -> Listener:
    try:
        return listen(host, port, _BACKLOG)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot serve at {host}:{port}: {why}. Choose another port (--serve PORT)") from None
