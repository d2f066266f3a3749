"""``streamreid search``: who is this, and where else were they seen?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from streamreid.cli._gallery import Json, Sources, Store, choose_store, not_audited, read_query
from streamreid.cli.console import output, set_up_logging
from streamreid.cli.tables import print_table
from streamreid.errors import ConfigError
from streamreid.gallery.match_posterior import PRIOR
from streamreid.gallery.search_report import MatchedIdentity, clock_text, write_sheet
from streamreid.runs.gallery_search import search_gallery

__all__ = ["print_identities", "search"]

Image = Annotated[Path | None, typer.Option(help="A picture of the person, or one with --box.")]
Video = Annotated[str | None, typer.Option(help="A video, with --time and --box.")]
At = Annotated[float, typer.Option("--time", help="Seconds into the video.")]
Box = Annotated[
    str | None,
    typer.Option(metavar="L,T,R,B", help="Where the person is in the picture: left, top, right, bottom in pixels."),
]
BoxLtwh = Annotated[
    str | None,
    typer.Option(
        "--box-ltwh",
        metavar="L,T,W,H",
        help="The same by left, top, width, height, as in results.jsonl, MOT text and Parquet.",
    ),
]
Engine = Annotated[str | None, typer.Option(help="Engine bundle, if it is not one that ships with streamreid.")]


def search(
    gallery: Store = None,
    image: Image = None,
    video: Video = None,
    time: At = 0.0,
    box: Box = None,
    box_ltwh: BoxLtwh = None,
    identity: Annotated[int | None, typer.Option(help="Who looks like this identity of the gallery?")] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many people.")] = 10,
    least: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least probability.")] = 0.0,
    prior: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=1.0,
            help="Probability that the person is in the gallery, before looking: 1 if that is certain.",
        ),
    ] = PRIOR,
    camera: Annotated[
        list[str] | None, typer.Option(help="Only appearances in this camera; may be given several times.")
    ] = None,
    as_json: Json = False,
    sheet: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with thumbnails (if pictures are stored).")
    ] = None,
    engine: Engine = None,
    sources: Sources = None,
) -> None:
    """Find people who look like a picture, a box in a frame, or an identity: where and when, how probably.

    The probability of a person is shared with everybody else who is alike and with "none of these"; who was seen
    elsewhere at that moment has none. "Like the query" compares two pictures alone, as if nobody else were there.

    Every search is noted in the gallery's audit log.
    """
    set_up_logging()
    if sum(v is not None for v in (image, video, identity)) != 1:
        raise ConfigError(
            "say whom to search for: --image person.jpg, --video clip.mp4 --time 12.5 --box L,T,R,B (or --box-ltwh "
            "L,T,W,H), or --identity 7"
        )
    with choose_store(gallery, sources) as store:
        picture, boxes = (None, None) if identity is not None else read_query(image, video, time, box_ltwh, box)
        result = search_gallery(
            picture,
            gallery=store,
            identity=identity,
            boxes=boxes,
            engine=engine,
            top=top,
            min_probability=least,
            cameras=camera or (),
            prior=prior,
        )
        if not result.audited:
            not_audited()
        if sheet is not None:
            pictures = store.crops([m.row for found in result.identities for m in found.track_records])
            write_sheet(sheet, f"Search in {store.address}: {_title(result.query)}", result.identities, pictures)
    if as_json:
        print(json.dumps(result.as_dict(), indent=2))
    else:
        print_identities(result.identities)


def _title(asked: Mapping[str, Any]) -> str:
    return f"who looks like #{asked['identity']}" if "identity" in asked else "who looks like this picture"


def print_identities(identities: Sequence[MatchedIdentity]) -> None:
    """Print a table of what a search found, one line for each track record."""
    table = Table(
        "person",
        "probability",
        "similarity",
        "camera",
        "from",
        "to",
        "like the query",
        box=None,
        pad_edge=False,
    )
    for found in identities:
        name = f"#{found.global_id} {found.name}".strip()
        head = (name, f"{found.probability:.3f}", f"{found.similarity:.3f}")
        for match in found.track_records:
            alike = "" if match.probability is None else f"{match.probability:.3f}"
            times = clock_text(match.record.start), clock_text(match.record.end)
            table.add_row(*head, match.record.camera, *times, alike)
            head = ("", "", "")
    if identities:
        print_table(output, table)
    else:
        output.print("nobody alike")
