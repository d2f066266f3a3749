"""``streamreid search``: who is this, and where else were they seen?"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from streamreid.cli._gallery import (
    Json,
    Sources,
    Store,
    choose_store,
    describe,
    finder,
    note,
    open_engine,
    parse_box,
    read_picture,
    tidy,
)
from streamreid.cli.console import output, set_up_logging
from streamreid.cli.tables import print_table
from streamreid.errors import ConfigError
from streamreid.features.similarity import Calibration
from streamreid.gallery import Gallery
from streamreid.gallery.match_posterior import PRIOR, identify, views_of
from streamreid.gallery.search_report import answer, clock_text, write_sheet
from streamreid.types import PartFeatures

__all__ = ["query", "search"]

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
        tidy(store)
        features, calibration, asked = query(store, image, video, time, parse_box(box_ltwh, box), identity, engine)
        looking = finder(store, calibration)
        views = len(looking)
        matches = identify(store, looking, features, identity=identity, prior=prior, top=top)
        found = answer(store, matches, calibration, cameras=camera or (), least=least)
        note(store, "search", {**asked, "found": [i["global_id"] for i in found]})
        pictures = store.crops([a["appearance"] for i in found for a in i["appearances"]]) if sheet is not None else {}
        looking.close()
        if sheet is not None:
            write_sheet(sheet, f"Search in {store.address}: {_title(asked)}", found, pictures)
        if as_json:
            data = {"schema": 1, "gallery": store.address, "query": asked, "views_searched": views, "identities": found}
            print(json.dumps(data, indent=2))
        else:
            _print(found)


def query(
    store: Gallery,
    image: Path | None,
    video: str | None,
    time: float,
    area: tuple[float, float, float, float] | None,
    identity: int | None,
    engine: str | None,
) -> tuple[PartFeatures, Calibration, dict[str, Any]]:
    """What to look for: features, the engine's calibration, and a note for the audit log (a hash of the picture, never
    the picture)."""
    if identity is not None:
        features = views_of(store, identity)
        calibration = store.calibration() or open_engine(store, engine).calibration
        return features, calibration, {"identity": identity}
    if video is not None and area is None:
        raise ConfigError("a frame of a video needs --box LEFT,TOP,RIGHT,BOTTOM or --box-ltwh LEFT,TOP,WIDTH,HEIGHT")
    embedder = open_engine(store, engine)
    frame = read_picture(image, video, time)
    note: dict[str, Any] = {"picture_sha256": hashlib.sha256(frame.image.tobytes()).hexdigest()}
    if area is not None:
        note["box"] = list(area)
    return describe(embedder, frame, area), store.calibration() or embedder.calibration, note


def _title(asked: dict[str, Any]) -> str:
    return f"who looks like #{asked['identity']}" if "identity" in asked else "who looks like this picture"


def _print(found: list[dict[str, Any]]) -> None:
    table = Table(
        "person", "probability", "similarity", "camera", "from", "to", "like the query", box=None, pad_edge=False
    )
    for person in found:
        who = f"#{person['global_id']} {person['name']}".strip()
        for number, a in enumerate(person["appearances"]):
            first = number == 0
            table.add_row(
                who if first else "",
                f"{person['probability']:.3f}" if first else "",
                f"{person['similarity']:.3f}" if first else "",
                a["camera"],
                clock_text(a["start"]),
                clock_text(a["end"]),
                "" if a["probability"] is None else f"{a['probability']:.3f}",
            )
    if found:
        print_table(output, table)
    else:
        output.print("nobody alike")
