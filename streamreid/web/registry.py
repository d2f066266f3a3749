"""Pages by name: what each shows, from what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streamreid.errors import StreamReIDError
from streamreid.serving.sessions import Role
from streamreid.web.site_view import SiteView
from streamreid.web.texts import Texts

__all__ = ["Asked", "Page", "PageNotFound", "Pages"]


class PageNotFound(StreamReIDError):
    """There is no such page, or nothing that it could show."""

    http_status = 404


@dataclass(frozen=True, slots=True)
class Asked:
    """What a browser asks for.

    Args:
        site: What there is to show.
        texts: The language of the viewer.
        role: Of the viewer.
        rest: What follows the page's name in the address: ``7`` of ``/page/people/7``.
        query: The query of the address, the last value of each name.
    """

    site: SiteView
    texts: Texts
    role: Role = "operator"
    rest: str = ""
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def can_change(self) -> bool:
        """Whether the viewer may change anything here."""
        return self.role == "operator" and self.site.can_change


Show = Callable[[Asked], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Args:
        name: In its address, ``/page/NAME``.
        show: Gives the values of its template; runs in a thread and may wait a little.
        template: File in ``templates/``.
        title: Key of its name in `Texts`.
        finished_title: Key of its name for a finished run, where that is another one.
        wanted: Whether a site has it; others neither list nor show it.
    """

    name: str
    show: Show
    template: str
    title: str
    wanted: Callable[[SiteView], bool]
    finished_title: str = ""

    def title_in(self, site: SiteView) -> str:
        """Key of its name beside what is shown."""
        return self.finished_title if self.finished_title and site.kind == "finished" else self.title


class Pages:
    """Pages in the order in which they are listed."""

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {}

    def __iter__(self) -> Iterator[Page]:
        return iter(self._pages.values())

    def add(
        self,
        name: str,
        show: Show,
        *,
        title: str,
        finished_title: str = "",
        template: str | None = None,
        wanted: Callable[[SiteView], bool] = lambda site: True,
    ) -> None:
        """Add a page; see `Page`. Without ``template`` it is ``NAME.html``."""
        self._pages[name] = Page(name, show, template or f"{name}.html", title, wanted, finished_title)

    def of(self, site: SiteView) -> list[Page]:
        """The pages of a site."""
        return [page for page in self if page.wanted(site)]

    def find(self, name: str, site: SiteView) -> Page:
        """A page by its name.

        Raises:
            PageNotFound: There is none.
        """
        page = self._pages.get(name)
        if page is None or not page.wanted(site):
            raise PageNotFound(f"there is no page '{name}'; there are {', '.join(p.name for p in self.of(site))}")
        return page
