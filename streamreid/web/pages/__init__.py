"""The pages, in the order of the navigation."""

from __future__ import annotations

from streamreid.web.pages import cameras, live, people, places, review, run, search
from streamreid.web.registry import Pages

__all__ = ["all_pages"]


def all_pages() -> Pages:
    """Every page there is."""
    pages = Pages()
    for module in (live, people, search, places, review, cameras, run):
        module.add(pages)
    return pages
