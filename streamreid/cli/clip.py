"""``streamreid clip``: one film of one person's appearances in all cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from rich.table import Table

from streamreid.cli.console import errors, output, print_notes, set_up_logging
from streamreid.cli.tables import print_table
from streamreid.config.inputs import configure
from streamreid.errors import ConfigError
from streamreid.reports.camera_pictures import BlurName, CameraPictures
from streamreid.reports.clip import MARGIN, write_clip
from streamreid.runs.finished_identity import FinishedIdentity
from streamreid.runs.finished_run import FinishedRun, open_run
from streamreid.sinks.drawing import clock_text

__all__ = ["Blurring", "Moved", "clip", "pictures_of"]

Moved = Annotated[
    Path | None,
    typer.Option(
        "--sources",
        "-s",
        help="YAML file of the run, where it left no summary (it was killed) or its recordings were moved.",
    ),
]
Blurring = Annotated[
    str,
    typer.Option(metavar="none|faces|people", help="Hide more than the run did; less is not possible."),
]


def clip(
    run: Annotated[Path, typer.Argument(help="Folder of the run's results.")],
    identity: Annotated[str, typer.Option("--identity", "-i", help="Global id or name of the person.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The film (default: identity-<number>.mp4 here).")
    ] = None,
    paths: Annotated[bool, typer.Option("--paths", help="Draw where the person walked.")] = False,
    margin: Annotated[
        float, typer.Option(min=0.0, max=60.0, help="Seconds shown before and after each appearance.")
    ] = MARGIN,
    blur: Blurring = "none",
    sources: Moved = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the film if it is there.")] = False,
) -> None:
    """Cut one person's appearances in all cameras into one film, with times.

    Pictures come from the recordings, found through the run's summary, or
    from the films that the run drew (output.video): the only pictures that a
    live run keeps. People are hidden as they were in the run (output.blur).
    """
    set_up_logging()
    finished = open_run(run)
    person = _person(finished, identity)
    path = out or Path(f"identity-{person.global_id}.mp4")
    if path.exists() and not overwrite:
        raise ConfigError(f"'{path}' is there already; pass --overwrite to replace it or choose another name (--out)")
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"'{path}': a clip is an .mp4 file")
    _say_state(finished, identity, person)
    written = write_clip(pictures_of(finished, sources, blur), person, path, margin=margin, paths=paths)
    table = Table("in the film", "camera", "from", "to", "pictures", box=None, pad_edge=False)
    for part in written.parts:
        times = clock_text(part.start), clock_text(part.end)
        table.add_row(clock_text(part.film_start), part.camera, *times, str(part.pictures))
    print_table(output, table)
    print_notes(output, ((camera, f"not shown: {why}", "yellow") for camera, why in written.missing.items()))
    output.print(f"{person.label} in {path}", highlight=False, markup=False, soft_wrap=True)


def pictures_of(run: FinishedRun, sources: Path | None, blur: str) -> CameraPictures:
    """The pictures of a run as the command line asks for them.

    Raises:
        ConfigError: ``blur`` is none of the settings.
    """
    if blur not in ("none", "faces", "people"):
        raise ConfigError(f"--blur {blur}: expected none, faces or people")
    config = None if sources is None else configure([], sources)
    return CameraPictures(run, sources=config, blur=cast(BlurName, blur))


def _person(run: FinishedRun, asked: str) -> FinishedIdentity:
    digits = asked.removeprefix("#")
    return run.identities[int(digits)] if digits.isdecimal() else run.identities.named(asked)


def _say_state(run: FinishedRun, asked: str, person: FinishedIdentity) -> None:
    digits = asked.removeprefix("#")
    if digits.isdecimal() and int(digits) != person.global_id:
        errors.print(f"identity {digits} is {person.global_id} now", highlight=False)
    if not run.complete:
        errors.print(run.state, highlight=False)
