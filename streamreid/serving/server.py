"""The server: bound before the run begins, serving in a thread of its own, gone when the run ends."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from streamreid._threads import Thread
from streamreid._token import checked_token
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.config import ServerConfig
from streamreid.errors import ConfigError, MissingExtraError
from streamreid.pipeline import Pipeline
from streamreid.serving.access_control import is_loopback
from streamreid.serving.event_stream import EventHub
from streamreid.serving.listener import Listener, listen
from streamreid.serving.live_sink import LiveSink

if TYPE_CHECKING:
    import uvicorn

__all__ = ["TOKEN_VARIABLE", "Server", "parse_address"]

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "STREAMREID_TOKEN"  # noqa: S105 - the name of a variable
_STOP_SECONDS = 2.0
"""Seconds that open connections get when the run ends."""

_BACKLOG = 128
"""Connections that the system holds until they are accepted."""

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


class Server:
    """The HTTP interface of a run. Use as a context manager around the run; ``board`` must be among its listeners.

    Args:
        pipeline: The run.
        config: Where to listen; the token may also come from the environment variable STREAMREID_TOKEN.
        changes: Keeps what is changed by HTTP; without it changes end with the run.

    Attributes:
        address: Where it listens, for people.
        board: The sink that feeds it.

    Raises:
        ConfigError: The address is taken or wrong, or open to others without a token.
        MissingExtraError: The extra ``server`` is not installed.
    """

    def __init__(self, pipeline: Pipeline, config: ServerConfig, changes: CameraOverrides | None = None) -> None:
        try:
            import uvicorn

            from streamreid.serving.app import make_app
            from streamreid.serving.connections import BoundedProtocol, drop_waiting
        except ImportError as error:
            raise MissingExtraError(error.name or "fastapi", "server", "Serving by HTTP") from error
        assert config.listen is not None
        host, port = parse_address(config.listen)
        token = _token(config)
        if token is None and not is_loopback(host):
            raise ConfigError(
                f"serving at '{config.listen}' lets other machines in, which needs a token: set server.token: "
                f"${{{TOKEN_VARIABLE}}} in the YAML, or the environment variable {TOKEN_VARIABLE}; or serve this "
                f"machine only: --serve {port}"
            )
        self._hub = EventHub()
        self.board = LiveSink(self._hub)
        changes = changes or CameraOverrides(Path(), pipeline.cameras.configs, keep=False)
        app = make_app(pipeline, self.board, self._hub, changes, token=token)
        self._socket = _bind(host, port)
        port = self._socket.getsockname()[1]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        # uvicorn logs every request that is none, and what fails in the application with all its texts; make_app logs
        # the latter without secrets.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        settings = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=1,
        )
        self._server: uvicorn.Server = uvicorn.Server(settings)
        self._socket.make_room = lambda: drop_waiting(self._server.server_state.connections)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.close()
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()


def _token(config: ServerConfig) -> str | None:
    """The token from the YAML, else from the environment.

    Raises:
        ConfigError: The variable's value can be none.
    """
    if config.token is not None:
        token = config.token.get_secret_value()
    elif TOKEN_VARIABLE in os.environ:
        try:
            token = checked_token(os.environ[TOKEN_VARIABLE])
        except ValueError as error:
            raise ConfigError(f"environment variable {TOKEN_VARIABLE}: {error}, or unset it") from None
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
