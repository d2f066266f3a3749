"""``streamreid config``: look at a configuration without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.table import Table
from rich.text import Text

from streamreid._yaml import in_words
from streamreid.cli.console import errors, output
from streamreid.errors import ConfigError
from streamreid.secrets import redact
from streamreid.settings_reference import View
from streamreid.settings_reference import schema as json_schema

__all__ = ["app"]

app = typer.Typer(help="Check a cameras file, or print its schema.", no_args_is_help=True)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="The YAML file.")],
    gallery: Annotated[
        str | None, typer.Option(help="The gallery that the run will be given, instead of gallery.store.")
    ] = None,
) -> None:
    """Check every key and value; name line, key and the nearest right key of each mistake (exit code 2). Files of
    cameras and models that are not on this machine are named, too; the file may be meant for another one."""
    from streamreid.pipeline.config_check import check_config

    found = check_config(path, gallery)
    config = found.config
    if config is None or found.mistakes:
        for text in found.missing:
            errors.print(Text(text, "yellow"), soft_wrap=True)
        raise ConfigError(in_words(found.mistakes, str(path)))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("camera", "uri", "stride", "offset"):
        table.add_column(column)
    for camera in config.cameras:
        table.add_row(
            camera.name,
            Text(redact(camera.uri)),
            str(camera.stride),
            f"{camera.start_time:%Y-%m-%d %H:%M:%S %Z} + {camera.offset:g} s"
            if camera.start_time
            else f"{camera.offset:g} s",
        )
    output.print(table)
    for text in (*found.notes, *found.missing):
        output.print(Text(" ".join(redact(text).split()), "yellow"), soft_wrap=True)
    changed = {
        section: values
        for section in ("detector", "engine", "tracker", "association", "cluster", "output")
        if (values := getattr(config, section).model_dump(exclude_defaults=True))
    }
    output.print(
        Text(f"changed from the defaults: {json.dumps(changed)}" if changed else "all settings are the defaults")
    )
    cameras = f"{len(config.cameras)} cameras"
    if found.missing:
        output.print(f"[yellow]ok, but not all is on this machine[/]: {cameras}", highlight=False)
    else:
        output.print(f"[green]ok[/]: {cameras}", highlight=False)


@app.command()
def schema(
    level: Annotated[
        str, typer.Option(help="basic; advanced (these and basic ones); all (also what is for comparisons only).")
    ] = "advanced",
) -> None:
    """Print the JSON schema of the cameras file (for editors). docs/settings.md has the same as tables."""
    if level not in get_args(View):
        raise ConfigError(f"--level {level}: known are {', '.join(get_args(View))}")
    typer.echo(json.dumps(json_schema(cast(View, level)), indent=2))
