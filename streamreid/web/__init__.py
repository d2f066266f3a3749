"""A page for people: look at a run, ask it, correct it (extra ``web``)."""

from streamreid.web.live_page import live_page

__all__ = ["live_page"]
