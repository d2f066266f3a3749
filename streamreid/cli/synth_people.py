"""``streamreid synth people``: pictures of people that never lived, for training and tests without anybody's data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from streamreid.cli.console import output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.errors import ConfigError
from streamreid.synth.people import PeopleConfig, write_people

__all__ = ["people"]


def people(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pictures.")],
    people: Annotated[
        int, typer.Option(help="How many people to train on; a folder can be continued with more.")
    ] = 1000,
    cameras: Annotated[int, typer.Option(help="How many cameras see them, each with colours of its own.")] = 24,
    cameras_per_person: Annotated[int, typer.Option(help="By how many of them each person is seen.")] = 3,
    pictures: Annotated[int, typer.Option(help="Pictures of each person by each of these cameras.")] = 3,
    test_people: Annotated[int, typer.Option(help="Further people before further cameras: query and gallery.")] = 0,
    test_cameras: Annotated[int, typer.Option(help="How many cameras see these.")] = 6,
    occluded: Annotated[float, typer.Option(help="Share of pictures with somebody or something in front.")] = 0.2,
    behind: Annotated[float, typer.Option(help="Share of pictures with somebody else behind.")] = 0.3,
    cut: Annotated[float, typer.Option(help="Share of pictures whose box cuts the person off.")] = 0.12,
    seed: Annotated[int, typer.Option(help="Another number, other people and cameras.")] = 0,
    clothes: Annotated[
        Path | None, typer.Option(help="Folder of MakeHuman's clothes (default: fetched into the cache, CC0).")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="People made at once. The pictures are the same.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
) -> None:
    """Make pictures of people that never lived, with exact part labels and visibilities, in the layout that
    `streamreid train` and `streamreid evaluate reid` read."""
    set_up_logging(quiet=quiet)
    try:
        config = PeopleConfig(
            people=people,
            cameras=cameras,
            cameras_per_person=cameras_per_person,
            pictures=pictures,
            test_people=test_people,
            test_cameras=test_cameras,
            occluded=occluded,
            behind=behind,
            cut=cut,
            seed=seed,
        )
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        name = "-".join(map(str, first["loc"])).replace("_", "-")
        raise ConfigError(f"--{name}: {reason} (got {first['input']})" if name else reason) from None
    begin = time.perf_counter()
    with Work("people", total=people + test_people, quiet=quiet) as work:
        report = write_people(config, out, clothes=clothes, processes=processes, tick=work.advance)
    if not quiet:
        seconds = time.perf_counter() - begin
        output.print(
            f"{out}: {report.people} people in {report.pictures} pictures, {report.made} of them new "
            f"({report.made / max(seconds, 1e-6):.1f} a second)\n"
            f"next: a recipe for streamreid train with images {out / 'bounding_box_train'} and labels "
            f"{out / 'labels' / 'bounding_box_train'}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
