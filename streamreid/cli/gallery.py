"""``streamreid gallery``: what is remembered, people's corrections, erasure."""

from __future__ import annotations

import json
import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from streamreid.cli._gallery import Json, Sources, Store, choose_store, note, settings, tidy
from streamreid.cli.console import output, set_up_logging
from streamreid.cli.gallery_corrections import corrections, different, merge, rename, split, staff, undo
from streamreid.cli.gallery_erasure import forget, forget_counts
from streamreid.cli.progress_line import Work
from streamreid.cli.search import search
from streamreid.cli.tables import print_table
from streamreid.errors import GalleryError
from streamreid.gallery import EventRecord, IdentityRecord, TrackRecord, open_gallery
from streamreid.gallery.cipher import new_key
from streamreid.gallery.export import export_gallery
from streamreid.gallery.search_report import clock_text, utc_text

__all__ = ["app"]

app = typer.Typer(help="People who are remembered: list, correct, export, forget.", no_args_is_help=True)

Identity = Annotated[int, typer.Argument(help="Global id.")]


@app.callback()
def _logging() -> None:
    set_up_logging()


app.command("search")(search)


def _describe(r: IdentityRecord) -> dict[str, Any]:
    return {
        "global_id": r.global_id,
        "name": r.name,
        "first_seen": round(r.first_seen, 3),
        "last_seen": round(r.last_seen, 3),
        "stored": utc_text(r.stored),
        "cameras": sorted(r.cameras),
        "appearances": r.track_records,
        "views": r.prototypes,
        "probability": round(r.probability, 4),
        "confirmed": r.confirmed,
        "staff": r.staff,
    }


@app.command("list")
def list_(
    gallery: Store = None,
    sources: Sources = None,
    camera: Annotated[str | None, typer.Option(help="Only people seen by this camera.")] = None,
    as_json: Json = False,
) -> None:
    """Print who is remembered, with cameras, times and names."""
    with choose_store(gallery, sources) as store:
        tidy(store)
        records = [r for r in store.identities() if camera is None or camera in r.cameras]
    if as_json:
        print(json.dumps({"schema": 1, "identities": [_describe(r) for r in records]}, indent=2))
        return
    table = Table(
        "person", _folded("name"), "confirmed", "first seen", "last seen", _folded("cameras"), box=None, pad_edge=False
    )
    for name in ("appearances", "views", "stored"):
        table.add_column(name)
    for r in records:
        times = clock_text(r.first_seen), clock_text(r.last_seen)
        cameras = Text(" ".join(sorted(r.cameras)))
        sure = "yes" if r.confirmed else "no"
        table.add_row(
            f"#{r.global_id}",
            Text(r.name),
            sure,
            *times,
            cameras,
            str(r.track_records),
            str(r.prototypes),
            utc_text(r.stored),
        )
    if not records:
        output.print("nobody is remembered")
        return
    print_table(output, table)
    confirmed = sum(r.confirmed for r in records)
    output.print(f"{len(records)} identities, {confirmed} of them confirmed", highlight=False)


def _folded(name: str) -> Column:
    """A column of words, which may be broken between them."""
    return Column(name, overflow="fold")


@app.command()
def show(identity: Identity, gallery: Store = None, sources: Sources = None, as_json: Json = False) -> None:
    """Everything about one person: appearances, history, corrections."""
    with choose_store(gallery, sources) as store:
        tidy(store)
        who = store.resolve(identity)
        records = store.identities([who]) if who else []
        if not records:
            raise GalleryError(
                f"gallery '{store.address}' has no identity {identity}: it never had, it expired, or it was forgotten"
            )
        rows = store.track_records([who])
        history = store.events(who)
        said = [c for c in store.constraints() if who in (c.one, c.other)]
    if as_json:
        lists = {"appearance_list": _appearances(rows), "events": _events(history)}
        corrections = [{"kind": c.kind, "one": c.one, "other": c.other} for c in said]
        print(
            json.dumps(
                {"schema": 1, **_describe(records[0]), "asked_for": identity, **lists, "corrections": corrections},
                indent=2,
            )
        )
        return
    name = f" {records[0].name}" if records[0].name else ""
    unsure = ("" if records[0].confirmed else ", not confirmed") + (", staff" if records[0].staff else "")
    output.print(
        Text(f"#{who}{name}: {records[0].track_records} appearances in {len(records[0].cameras)} cameras{unsure}"),
        soft_wrap=True,
    )
    table = Table("appearance", "camera", "from", "to", "probability", "seen", "stored", box=None, pad_edge=False)
    for row, a in rows.items():
        seen = f"{a.observations} times"
        table.add_row(
            str(row),
            Text(a.camera),
            clock_text(a.start),
            clock_text(a.end),
            f"{a.probability:.3f}",
            seen,
            utc_text(a.stored),
        )
    print_table(output, table)
    for e in history:
        other = f" (other: #{e.event.other_id})" if e.event.other_id else ""
        where = f" in {e.event.camera}" if e.event.camera else ""
        output.print(
            Text(f"{clock_text(e.event.time)} {e.event.kind}{where}, p={e.event.probability:.3f}{other}"),
            soft_wrap=True,
        )
    for c in said:
        output.print(
            f"said to be {'the same person' if c.kind == 'same' else 'different people'}: #{c.one} and #{c.other}"
        )


def _appearances(rows: Mapping[int, TrackRecord]) -> list[dict[str, Any]]:
    return [
        {
            "appearance": row,
            "camera": a.camera,
            "start": a.start,
            "end": a.end,
            "probability": a.probability,
            "observations": a.observations,
            "track_id": a.track_id,
            "run": a.run,
            "stored": utc_text(a.stored),
        }
        for row, a in rows.items()
    ]


def _events(history: Sequence[EventRecord]) -> list[dict[str, Any]]:
    return [
        {
            "time": e.event.time,
            "kind": e.event.kind,
            "camera": e.event.camera or None,
            "other_id": e.event.other_id or None,
            "probability": e.event.probability,
            "reasons": dict(e.event.reasons),
            "run": e.run,
        }
        for e in history
    ]


for correction in (merge, split, different, rename, staff, corrections, undo):
    app.command()(correction)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="New folder.")],
    identities: Annotated[list[int] | None, typer.Argument(help="Global ids; none: everybody.")] = None,
    gallery: Store = None,
    sources: Sources = None,
) -> None:
    """Write views, people's corrections and stored pictures as training data."""
    with choose_store(gallery, sources) as store:
        with Work(f"exporting to {folder}"):
            tidy(store)
            counts = export_gallery(store, folder, identities or None, private=settings(gallery, sources).private)
        note(store, "export", {"folder": str(folder), **counts})
    output.print(Text(f"{folder}: " + ", ".join(f"{n} {what}" for what, n in counts.items())))


@app.command()
def stats(gallery: Store = None, sources: Sources = None, as_json: Json = False) -> None:
    """Print how much the gallery holds, its retention, and its known copies."""
    with choose_store(gallery, sources) as store:
        data = {
            **store.stats(),
            "retention_seconds": store.retention().seconds,
            "camera_retention_seconds": dict(store.retention().cameras),
        }
    if as_json:
        print(json.dumps({"schema": 1, **data}, indent=2))
        return
    for name, value in data.items():
        output.print(
            Text(f"{name.replace('_', ' ')}: {json.dumps(value) if isinstance(value, (dict, list)) else value}"),
            soft_wrap=True,
        )


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="New SQLite file.")], gallery: Store = None, sources: Sources = None
) -> None:
    """Write a consistent copy while runs go on; it is a gallery itself."""
    with choose_store(gallery, sources) as store:
        with Work(f"copying to {file}"):
            store.backup(file)
        note(store, "backup", {"file": str(file.absolute())})
    output.print(Text(f"{file}: {file.stat().st_size} bytes"))


@app.command()
def copy(
    source: Annotated[str, typer.Argument(help="File or postgresql:// address.")],
    target: Annotated[str, typer.Argument(help="New file, or address of an empty database.")],
    encrypt: Annotated[bool, typer.Option(help="Encrypt the copy with the key in STREAMREID_GALLERY_KEY.")] = False,
) -> None:
    """Move a gallery into another store, or turn encryption on."""
    with (
        choose_store(source, None) as old,
        open_gallery(settings(target, None).model_copy(update={"encryption": encrypt})) as new,
    ):
        with Work("copying"):
            old.copy_to(new)
        # Who is forgotten in one is forgotten in the other.
        new.note_copy("original", old.place, [])
        note(new, "copy", {"from": old.place})
        if not old.read_only:
            old.note_copy("copy", new.place, [])
        note(old, "copy", {"to": new.place, "encrypted": encrypt})
        counts = new.stats()
    output.print(Text(f"{counts['identities']} identities, {counts['prototypes']} views copied"))


@app.command()
def check(gallery: Store = None, sources: Sources = None) -> None:
    """Read everything once; says what is damaged."""
    with choose_store(gallery, sources) as store, Work("reading everything"):
        store.check()
        views = sum(len(block) for block in store.prototypes())
    output.print(f"{views} views read, nothing is damaged")


@app.command()
def expire(
    gallery: Store = None,
    sources: Sources = None,
    every: Annotated[float | None, typer.Option(min=0.1, help="Go on for ever, every so many seconds.")] = None,
) -> None:
    """Erase what is past its time, where no run does it (a timer or a service calls this)."""
    while True:
        with choose_store(gallery, sources) as store, Work("erasing what is past its time"):
            gone = store.expire()
        output.print(f"{len(gone)} identities expired")
        if every is None:
            return
        clock.sleep(every)


@app.command()
def audit(gallery: Store = None, sources: Sources = None, as_json: Json = False) -> None:
    """Who searched or erased what, when."""
    with choose_store(gallery, sources) as store:
        entries = store.audit_log()
    if as_json:
        log = [
            {"time": utc_text(e.stored), "actor": e.actor, "action": e.action, "detail": dict(e.detail)}
            for e in entries
        ]
        print(json.dumps({"schema": 1, "entries": log}, indent=2))
        return
    for e in entries:
        output.print(
            Text(f"{utc_text(e.stored)} {e.actor or '-'} {e.action} {json.dumps(dict(e.detail))}"), soft_wrap=True
        )


@app.command()
def key() -> None:
    """Print a new random key for an encrypted gallery; put it into STREAMREID_GALLERY_KEY and keep it safe."""
    print(new_key())


app.command()(forget)
app.command("forget-counts")(forget_counts)
