"""The verbs of ``streamreid gallery`` that erase: people, and hourly counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from streamreid.cli._gallery import Json, Sources, Store, choose_store, note, read_query
from streamreid.cli.console import errors, output
from streamreid.cli.progress_line import Work
from streamreid.cli.search import At, Box, BoxLtwh, Engine, Image, Video
from streamreid.errors import ConfigError, GalleryError
from streamreid.gallery import Erasure, Gallery
from streamreid.gallery.match_posterior import identify
from streamreid.reid.feature_extractor import Picture
from streamreid.runs.erasure import describe_folder, forget_everywhere, found_by_search, is_cache
from streamreid.runs.gallery_search import Box as BoxCorners
from streamreid.runs.gallery_search import open_search, operator, query_gallery
from streamreid.sinks.result_erasure import ErasedResults

__all__ = ["forget", "forget_counts"]


def forget(
    identities: Annotated[list[int] | None, typer.Argument(help="Global ids.")] = None,
    gallery: Store = None,
    sources: Sources = None,
    image: Image = None,
    video: Video = None,
    time: At = 0.0,
    box: Box = None,
    box_ltwh: BoxLtwh = None,
    least: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="With a picture: forget everybody at least so probably the person.")
    ] = 0.9,
    engine: Engine = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            help="Erase everybody who was ever forgotten from this folder of results (lines, rows, pictures; films of "
            "cameras that saw them as a whole); a cache, which holds features of everybody who was seen, is removed. "
            "May be given several times."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase every trace of people: here, in known backups and in exports; then search for remains."""
    if bool(identities) == (image is not None or video is not None):
        raise ConfigError(
            "whom? Give global ids, or a picture: --image person.jpg, or --video clip.mp4 --time 12.5 --box L,T,R,B "
            "(or --box-ltwh L,T,W,H)"
        )
    with choose_store(gallery, sources) as store:
        chosen = list(identities or [])
        if not chosen:
            chosen = _by_picture(store, *read_query(image, video, time, box_ltwh, box), least, engine)
        if not chosen:
            output.print(f"nobody is that person with a probability of {least:g} or more; nothing was erased")
            return
        _tell_unknown(store, chosen)
        caches = [folder for folder in also or [] if is_cache(folder)]
        names = ", ".join([*(f"#{i}" for i in chosen), *(describe_folder(store, folder) for folder in also or [])])
        if not yes and not typer.confirm(f"Erase {names} for good?"):
            raise typer.Exit(1)
        with Work("erasing") as work:
            views = [b.features for b in store.prototypes(ids=[store.resolve(i) for i in chosen])]
            erasure, results = forget_everywhere(store, chosen, also or [], actor=operator())
            work.step("searching for what remains")
            found = found_by_search(store, views, erasure.identities)
    _report(erasure, found, as_json, results, caches)
    if found or not erasure.complete:
        raise GalleryError(
            "the erasure is not complete: "
            + "; ".join(
                [*erasure.remains, *(f"{p}: {why}" for p, why in erasure.unreachable.items()), *map(str, found)]
            )
        )


def _tell_unknown(store: Gallery, ids: Sequence[int]) -> None:
    """Say which numbers nobody has or had; results and caches may still hold them."""
    now = {i: store.resolve(i) for i in ids}
    known = {record.global_id for record in store.identities(list(now.values()))}.union(store.forgotten())
    unknown = [str(i) for i, resolved in now.items() if not {i, resolved} & known]
    if unknown:
        errors.print(
            f"nobody in this gallery has or had the number {', '.join(unknown)}; see `gallery list`", soft_wrap=True
        )


def forget_counts(
    gallery: Store = None,
    sources: Sources = None,
    place: Annotated[str | None, typer.Option(help="Only of this zone, or of a camera (camera:NAME).")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the hourly counts, which stay when people are forgotten."""
    with choose_store(gallery, sources) as store:
        what = "all hourly counts" if place is None else f"the hourly counts of '{place}'"
        if not yes and not typer.confirm(f"Delete {what} for good?"):
            raise typer.Exit(1)
        count = store.forget_counts(place)
        note(store, "forget-counts", {"place": place, "counts": count})
    output.print(f"{count} hourly counts deleted")


def _by_picture(
    store: Gallery, picture: Picture, boxes: Sequence[BoxCorners] | None, least: float, engine: str | None
) -> list[int]:
    query = query_gallery(store, picture, boxes=boxes, engine=engine)
    search = open_search(store, query.calibration)
    matches = [m for m in identify(store, search, query.features) if m.probability >= least]
    search.close()
    for m in matches:
        output.print(f"#{m.global_id} with probability {m.probability:.3f}")
    return [m.global_id for m in matches]


def _report(
    erasure: Erasure,
    found: Sequence[int],
    as_json: bool,
    results: Mapping[str, ErasedResults],
    caches: Sequence[Path],
) -> None:
    data = {
        "identities": erasure.identities,
        "rows_removed": erasure.removed,
        "bytes_searched": erasure.searched,
        "remains": erasure.remains,
        "found_by_search": list(found),
        "copies_erased": erasure.done,
        "copies_unreachable": erasure.unreachable,
        "results_erased": {
            folder: {**r.counts, "films": [str(film) for film in r.films]} for folder, r in results.items()
        },
        "caches_removed": [str(folder) for folder in caches],
        "complete": erasure.complete and not found,
    }
    if as_json:
        print(json.dumps({"schema": 1, **data}, indent=2))
        return
    rows = ", ".join(f"{n} {table}" for table, n in erasure.removed.items() if n)
    output.print(Text(f"forgotten: {', '.join(f'#{i}' for i in erasure.identities)} ({rows or 'nothing was stored'})"))
    if erasure.searched:
        output.print(
            f"{erasure.searched} bytes of files searched for their features: {len(erasure.remains)} remains; a search "
            f"finds {len(found)} of them"
        )
    else:
        output.print(f"tables rewritten on the server; a search finds {len(found)} of them")
    for path in erasure.done:
        output.print(Text(f"erased in {path} as well"))
    for cache in caches:
        output.print(Text(f"removed the cache {cache}, which held features of everybody who was seen"))
    for folder, erased in results.items():
        what = ", ".join(f"{n} {kind}" for kind, n in erased.counts.items()) or "nothing of them"
        output.print(Text(f"erased in {folder}: {what}"))
        for film in erased.films:
            output.print(Text(f"deleted as a whole, since nobody can be taken out of a film: {film}"))
