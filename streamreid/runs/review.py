"""Review of a run: the most doubtful links as questions, and answers that correct who is who.

Example:
    >>> from streamreid.runs.review import finished_review
    >>> review = finished_review("runs/demo")  # doctest: +SKIP
    >>> question = review.questions(1)[0]  # doctest: +SKIP
    >>> review.answer(question, same=True)  # doctest: +SKIP
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamreid.association import TrackLinks
from streamreid.association.review_queue import WORTH_ASKING, Question, ReviewQueue
from streamreid.association.track_constraints import TrackConstraints
from streamreid.corrections import Correction, Corrections
from streamreid.errors import CorrectionError, DataError
from streamreid.places.link_graph import link_graph
from streamreid.places.records import TrackSpan
from streamreid.runs.finished_corrections import FinishedCorrections
from streamreid.runs.finished_run import FinishedRun
from streamreid.runs.link_file import LINKS, read_links
from streamreid.sinks import FinalIdentities
from streamreid.types import TrackKey

__all__ = ["Candidate", "LiveReviewedRun", "Review", "ReviewedRun", "finished_review", "said_so_far"]


class ReviewedRun(Protocol):
    """What a review needs of a run, live or over."""

    @property
    def corrections(self) -> AnswerTaker:
        """Takes answers and what follows from them."""

    def links(self) -> TrackLinks:
        """Which tracks may be one person."""

    def identities(self) -> FinalIdentities:
        """Who is who now."""

    def spans(self) -> Sequence[TrackSpan]:
        """When tracks were seen."""


class AnswerTaker(Corrections, Protocol):
    """Corrections that also take what is said of two tracks."""

    def say(self, one: TrackKey, other: TrackKey, *, same: bool | None, actor: str = "") -> Correction:
        """Two tracks are one person, or two; None: nobody can tell."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Another identity that may be the same person.

    Args:
        global_id: Of the other identity.
        probability: That both are one person, in [0, 1].
    """

    global_id: int
    probability: float


class Review:
    """Questions about a run, and answers. From any thread.

    Args:
        run: The run.
    """

    def __init__(self, run: ReviewedRun) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._queue: tuple[object, ReviewQueue] | None = None

    def questions(self, most: int = 10) -> list[Question]:
        """The questions whose answers are worth most, the most first; only those worth asking."""
        with self._lock:
            return self._made().questions(most, worth=WORTH_ASKING)

    def remaining(self) -> int:
        """How many answers are still worth giving, as far as can be said now."""
        with self._lock:
            return self._made().remaining()

    def answered(self) -> int:
        """How many answers were given."""
        return sum(c.kind == "pair" for c in self._run.corrections.history())

    def candidates(self, global_id: int, most: int = 3) -> list[Candidate]:
        """Other identities that may be the same person as one, the most probable first."""
        with self._lock:
            owner = self._owner()
            found: dict[int, float] = {}
            for question in self._made().joins_of({key for key, who in owner.items() if who == global_id}):
                other = {owner.get(question.one, 0), owner.get(question.other, 0)} - {global_id, 0}
                for who in other:
                    found[who] = max(question.probability, found.get(who, 0.0))
        best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:most]
        return [Candidate(who, probability) for who, probability in best]

    def answer(self, question: Question, *, same: bool | None, actor: str = "") -> list[Correction]:
        """Answer a question, and let who is who follow.

        Args:
            question: As it was asked; its tracks move where the answer contradicts what is believed.
            same: Whether both tracks are one person; None: nobody can tell.
            actor: For the audit.

        Returns:
            What was said, and the merge or split that follows from it.

        Raises:
            CorrectionError: It contradicts what was said before; nothing is changed.
        """
        with self._lock:
            corrections, owner = self._run.corrections, self._owner()
            one, other = question.one, question.other
            if same is not None:
                known = said_so_far(corrections.history())[0]
                try:
                    known.say(one, other, same=same)
                except ValueError as error:
                    raise CorrectionError(str(error)) from None
            mine, theirs = owner.get(one, 0), owner.get(other, 0)
            done: list[Correction] = []
            if same is True and mine != theirs and mine and theirs:
                done.append(corrections.merge(mine, theirs, actor=actor))
            elif same is False and mine == theirs and mine:
                moved = {key for key in question.tracks if owner.get(key) == mine}
                if (one in moved) == (other in moved):  # asked of another state
                    moved = {other}
                done.append(corrections.split(mine, tracks=sorted(moved), actor=actor))
            return [corrections.say(one, other, same=same, actor=actor), *done]

    # ---------------------------------------------------------------- what is known now

    def _owner(self) -> dict[TrackKey, int]:
        identities = self._run.identities()
        return {key: who for key, (who, _) in identities.items() if who and who not in identities.unlinked}

    def _made(self) -> ReviewQueue:
        """The queue for who is who now; kept while nothing changes."""
        identities, said = self._run.identities(), self._run.corrections.history()
        state = (tuple(sorted((key, who) for key, (who, _) in identities.items())), len(said))
        if self._queue is None or self._queue[0] != state:
            links, spans = self._run.links(), self._run.spans()
            graph, _ = link_graph([t.key for t in links.tracks], links.pairs, links.log_odds, identities, spans)
            seen = {span.key: span.observations for span in spans}
            constraints, unsure = said_so_far(said)
            self._queue = state, ReviewQueue(graph, self._owner(), seen, constraints, unsure)
        return self._queue[1]


def said_so_far(history: Sequence[Correction]) -> tuple[TrackConstraints, list[tuple[TrackKey, TrackKey]]]:
    """What was said of pairs of tracks and holds, and pairs about which nobody could tell.

    An answer that contradicts earlier ones is left out, so that one slip of the hand does not end a review.
    """
    undone = {c.undoes for c in history}
    constraints, unsure = TrackConstraints(), []
    for said in history:
        if said.kind != "pair" or said.number in undone or len(said.tracks) != 2:
            continue
        one, other = said.tracks
        if said.unsure:
            unsure.append((one, other))
            continue
        try:
            constraints.say(one, other, same=said.same)
        except ValueError:
            continue
    return constraints, unsure


class FinishedAnswers(AnswerTaker, Protocol):
    """Corrections of a run that is over."""

    @property
    def run(self) -> FinishedRun:
        """The run as it is corrected now."""

    @property
    def folder(self) -> Path:
        """Of its results."""


class _Finished:
    """A run that is over."""

    def __init__(self, corrections: FinishedAnswers) -> None:
        self._corrections = corrections
        self._links: TrackLinks | None = None

    @property
    def corrections(self) -> AnswerTaker:
        return self._corrections

    def links(self) -> TrackLinks:
        if self._links is None:
            self._links = read_links(self._corrections.folder)
        if self._links is None:
            raise DataError(
                f"'{self._corrections.folder}' has no {LINKS}, which says which tracks may be one person: the run goes "
                "on, was killed, was made by an older version, or somebody was erased from it. Run or replay it again"
            )
        return self._links

    def identities(self) -> FinalIdentities:
        return self._corrections.run.links

    def spans(self) -> Sequence[TrackSpan]:
        return self._corrections.run.place_log.spans


def finished_review(folder: str | Path | FinishedAnswers) -> Review:
    """The review of a run that is over.

    Args:
        folder: Of its results, or corrections of it.

    Raises:
        DataError: The folder holds no results.
    """
    corrections = FinishedCorrections(folder) if isinstance(folder, str | Path) else folder
    return Review(_Finished(corrections))


class LiveReviewedRun:
    """A run that goes on, for a review.

    Args:
        corrections: Of the run.
        links: Which tracks may be one person.
        identities: Who is who now.
        spans: When tracks were seen.
    """

    def __init__(
        self,
        corrections: AnswerTaker,
        links: Callable[[], TrackLinks],
        identities: Callable[[], FinalIdentities],
        spans: Callable[[], Sequence[TrackSpan]],
    ) -> None:
        self.corrections = corrections
        self.links, self.identities, self.spans = links, identities, spans
