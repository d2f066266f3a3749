"""The page for people beside the HTTP interface: made where its extra is installed, and named."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from streamreid.cli.console import errors
from streamreid.errors import MissingExtraError

if TYPE_CHECKING:
    from streamreid.config import ServerConfig
    from streamreid.serving import LivePage, LiveParts

__all__ = ["page_of_run", "require_page", "tell_page"]

_NEEDS = ("fastapi", "uvicorn", "jinja2", "wsproto")
"""What the extra `web` brings."""


def page_of_run(config: ServerConfig) -> Callable[[LiveParts], LivePage] | None:
    """Makes the page of a run; None where there shall be none, or the extra ``web`` is not installed."""
    if not config.page or _missing():
        return None
    from streamreid.web import live_page  # an extra

    return live_page


def require_page() -> None:
    """Nothing where the extra ``web`` is installed.

    Raises:
        MissingExtraError: It is not.
    """
    missing = _missing()
    if missing:
        raise MissingExtraError(missing[0], "web", "A page to look at")


def _missing() -> list[str]:
    return [name for name in _NEEDS if find_spec(name) is None]


def tell_page(address: str, page: object, config: ServerConfig) -> None:
    """Say where the page is, or how to get one."""
    if page is not None:
        errors.print(f"page: {address}/page/", highlight=False)
    elif config.page:
        errors.print("for a page to look at: pip install 'streamreid\\[web]'", highlight=False)
