"""What a page shows of a site, whether a run goes on or is over: pages ask a `SiteView` and know no pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

from streamreid.gallery import Gallery
from streamreid.ground.ground_plan import GroundPlan
from streamreid.runs.path_board import Way
from streamreid.runs.review import AnswerTaker, Review
from streamreid.serving.event_stream import EventHub
from streamreid.sinks.colours import Colours
from streamreid.types import TrackKey

__all__ = ["SiteKind", "SiteView"]

SiteKind = Literal["live", "finished"]


class SiteView(Protocol):
    """A site as the page sees it. Methods may be called from any thread. Times are capture times in seconds."""

    @property
    def kind(self) -> SiteKind:
        """Whether the run goes on in this process."""

    @property
    def title(self) -> str:
        """What it is, for the head of the page."""

    @property
    def can_change(self) -> bool:
        """Whether an operator can change anything."""

    @property
    def hub(self) -> EventHub:
        """Where changes are told, so that other pages show them."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the engine's body parts, in the order of ``visibility``."""

    @property
    def has_pictures(self) -> bool:
        """Whether it knows where people were in pictures; a gallery does not."""

    def notes(self) -> list[str]:
        """What a viewer should know of the whole, one sentence each, such as that the run was killed."""

    def cameras(self) -> list[dict[str, Any]]:
        """As ``GET /cameras``."""

    def people(self, limit: int = 1000) -> list[dict[str, Any]]:
        """As ``GET /identities``: the last seen first."""

    def person(self, global_id: int) -> dict[str, Any] | None:
        """As ``GET /identities/ID``; None if there is none. ``appearances`` are those of which the times are known."""

    @property
    def plan(self) -> GroundPlan | None:
        """Of the ground; None where there can be none."""

    def ways(self, tracks: Iterable[TrackKey]) -> dict[TrackKey, Way]:
        """Where tracks were on the ground; only those of calibrated cameras."""

    def places(self) -> list[dict[str, Any]]:
        """As ``GET /zones``."""

    def counts(self, every: str | None = None, **asked: Any) -> list[dict[str, Any]]:
        """Rows of ``GET /counts``."""

    def flows(self, **asked: Any) -> list[dict[str, Any]]:
        """Rows of ``GET /flows``."""

    def run(self) -> dict[str, Any]:
        """As ``GET /run``; of a live run also ``memory`` (MiB) and ``deliveries`` to brokers."""

    def log(self) -> list[dict[str, Any]]:
        """The newest lines of the log, the newest first: ``time`` (seconds since 1970), ``level``, ``said``."""

    def events(self, limit: int = 100) -> list[dict[str, Any]]:
        """The newest identity, camera and place events, the newest first: ``topic``, ``number`` and what was told."""

    def span(self) -> tuple[float, float] | None:
        """First and last capture time of a finished run; None where nobody was seen, and of a live one."""

    def frame(self, camera: str, width: int, time: float | None = None) -> tuple[bytes, bytes] | None:
        """A frame of a camera, hidden as viewers may see it; None where there is none.

        Args:
            camera: Its name.
            width: At most so many pixels.
            time: Of a finished run, the capture time; of a live one always the newest.

        Returns:
            JSON of who is where in it, see :func:`streamreid.web.pictures.picture_header`, and a JPEG; no bytes where
            no picture is to be had.
        """

    @property
    def corrections(self) -> AnswerTaker | None:
        """Takes what people correct; None where nothing can be corrected."""

    @property
    def review(self) -> Review | None:
        """Asks about doubtful links; None where nothing can be corrected."""

    @property
    def gallery(self) -> Gallery | None:
        """In which pictures can be searched for; None where there is none."""

    def colours(self, tracks: Sequence[TrackKey]) -> Colours:
        """Colours of a person's body parts, of the newest track of which they are known; empty where nothing is, or
        where viewers may not see it."""

    def crop(self, key: TrackKey, time: float | None = None) -> bytes | None:
        """JPEG of one track; None where there is none that may be shown.

        Args:
            key: Camera and track id.
            time: Capture time; None for the middle of it. Of a live run only the stored picture is to be had.
        """

    def close(self) -> None:
        """Let go of what is open."""
