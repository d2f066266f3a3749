"""``streamreid gallery merge | split | different | rename | staff | corrections | undo``: what people correct."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.text import Text

from streamreid.cli._gallery import Json, Sources, Store, choose_store, note
from streamreid.cli.console import output
from streamreid.gallery.records import GalleryCorrection
from streamreid.gallery.search_report import utc_text

__all__ = ["corrections", "different", "merge", "rename", "split", "staff", "undo"]

Identity = Annotated[int, typer.Argument(help="Global id.")]


def merge(
    keep: Identity,
    other: Annotated[int, typer.Argument(help="Becomes part of the first.")],
    gallery: Store = None,
    sources: Sources = None,
    force: Annotated[bool, typer.Option(help="Even if they were said to be different people.")] = False,
) -> None:
    """Say that two identities are one person."""
    with choose_store(gallery, sources) as store:
        store.merge(keep, other, force=force)
        note(store, "merge", {"keep": keep, "other": other})
    output.print(f"#{other} is #{keep} now")


def split(
    identity: Identity,
    appearances: Annotated[list[int], typer.Argument(help="Appearances (see `show`) that are somebody else.")],
    gallery: Store = None,
    sources: Sources = None,
) -> None:
    """Say that some appearances of an identity are another person."""
    with choose_store(gallery, sources) as store:
        new = store.split(identity, appearances)
        note(store, "split", {"identity": identity, "new": new})
    output.print(f"{len(appearances)} appearances of #{identity} are #{new} now")


def different(identity: Identity, other: Identity, gallery: Store = None, sources: Sources = None) -> None:
    """Say that two identities are different people, however alike."""
    with choose_store(gallery, sources) as store:
        store.separate(identity, other)
        note(store, "different", {"one": identity, "other": other})
    output.print(f"#{identity} and #{other} stay different people")


def rename(
    identity: Identity,
    name: Annotated[str, typer.Argument(help="Empty takes it away.")],
    gallery: Store = None,
    sources: Sources = None,
) -> None:
    """Give a person a name."""
    with choose_store(gallery, sources) as store:
        store.rename(identity, name)
        note(
            store, "rename", {"identity": identity, "taken_away": not name.strip()}
        )  # names are personal data: the log says that, not how
    output.print(Text(f"#{identity} is {name.strip() or 'without a name'} now"))


def staff(
    identity: Identity,
    gallery: Store = None,
    sources: Sources = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it back: they do not work there.")] = False,
) -> None:
    """Say that somebody works there: counts leave staff out."""
    with choose_store(gallery, sources) as store:
        store.tag_staff(identity, not remove)
        note(store, "staff", {"identity": identity, "staff": not remove})
    output.print(f"#{identity} is {'not staff' if remove else 'staff'} now")


def corrections(gallery: Store = None, sources: Sources = None, as_json: Json = False) -> None:
    """List what was corrected, with the numbers that `undo` takes."""
    with choose_store(gallery, sources) as store:
        made = store.corrections()
    if as_json:
        rows = [
            {
                "number": c.number,
                "kind": c.kind,
                "one": c.one,
                "other": c.other or None,
                "stored": utc_text(c.stored),
                "undone": c.undone,
            }
            for c in made
        ]
        print(json.dumps({"schema": 1, "corrections": rows}, indent=2))
        return
    for c in made:
        output.print(f"{c.number} {utc_text(c.stored)} {_said(c)}{' (undone)' if c.undone else ''}", soft_wrap=True)
    if not made:
        output.print("nothing was corrected")


def undo(
    number: Annotated[int | None, typer.Argument(help="See `corrections`; none: the newest.")] = None,
    gallery: Store = None,
    sources: Sources = None,
) -> None:
    """Take back a correction; who was forgotten stays forgotten."""
    with choose_store(gallery, sources) as store:
        undone = store.undo(number)
        note(store, "undo", {"correction": undone.number, "kind": undone.kind})
    output.print(f"correction {undone.number} ({_said(undone)}) does not hold any more", soft_wrap=True)


def _said(correction: GalleryCorrection) -> str:
    """A correction in words."""
    who = f"#{correction.one}" + (f" and #{correction.other}" if correction.other else "")
    return f"{correction.kind} of {who}"
