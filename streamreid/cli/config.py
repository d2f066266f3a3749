"""``streamreid config``: look at a configuration without running it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.table import Table
from rich.text import Text

from streamreid._yaml import read_yaml
from streamreid.cameras.capture_times import check_mixed
from streamreid.cli.console import output, print_notes
from streamreid.config import Config, load_config
from streamreid.config.place_checks import check_names
from streamreid.errors import ConfigError, EngineError, GalleryError, WeightsError
from streamreid.secrets import redact
from streamreid.settings_reference import View
from streamreid.settings_reference import schema as json_schema
from streamreid.sources.protocols import missing_protocol

__all__ = ["app"]

app = typer.Typer(help="Check a cameras file, or print its schema.", no_args_is_help=True)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="The YAML file.")],
    gallery: Annotated[
        str | None, typer.Option(help="The gallery that the run will be given, instead of gallery.store.")
    ] = None,
) -> None:
    """Check every key and value; name line, key and the nearest right key of each mistake (exit code 2)."""
    config = load_config(path)
    store = gallery or config.gallery.store
    lines = read_yaml(path)[1]
    check_names(config.alerts, store, where=lambda i: f"{path}:{lines.get(('alerts', i, 'when'), 1)}: ")
    models = list(_missing_models(config, where=lambda section: f"{path}:{lines.get((section, 'model'), 1)}: "))
    check_mixed(config.cameras, window=config.association.window, where=str(path))
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
    print_notes(output, ((camera.name, missing_protocol(camera.uri), "yellow") for camera in config.cameras))
    print_notes(output, models)
    print_notes(output, _unknown_names(config, store))
    changed = {
        section: values
        for section in ("detector", "engine", "tracker", "association", "cluster", "output")
        if (values := getattr(config, section).model_dump(exclude_defaults=True))
    }
    output.print(
        Text(f"changed from the defaults: {json.dumps(changed)}" if changed else "all settings are the defaults")
    )
    output.print(f"[green]ok[/]: {len(config.cameras)} cameras", highlight=False)


def _missing_models(config: Config, *, where: Callable[[str], str]) -> Iterator[tuple[str, str, str]]:
    """Files of detector and engine that are not here; the cameras file may be meant for another machine.

    Raises:
        ConfigError: A name that nothing has.
    """
    from streamreid.detection import missing_detector
    from streamreid.reid import missing_engine

    checks: dict[str, Callable[[], str | None]] = {
        "detector": lambda: missing_detector(config.detector),
        "engine": lambda: missing_engine(config.engine),
    }
    for section, check_model in checks.items():
        try:
            found = check_model()
        except (WeightsError, EngineError) as error:
            raise ConfigError(f"{where(section)}{section}.model: {error}") from None
        if found is not None:
            yield section, found, "yellow"


def _unknown_names(config: Config, store: str | None) -> Iterator[tuple[str, str, str]]:
    """Rules about names that nobody in the gallery has yet; only a gallery in a file of this machine is asked."""
    wanted = [alert.rule.name for alert in config.alerts if alert.rule.subject == "identity"]
    wanted = [name for name in wanted if not name.isdecimal()]
    if not wanted or store is None or not Path(store).is_file():
        return
    from streamreid.gallery import Gallery

    try:
        with Gallery.open(store, read_only=True) as known:
            names = {record.name for record in known.identities()}
    except GalleryError:  # in use, or its key is elsewhere: `doctor` says what is wrong with it
        return
    for name in dict.fromkeys(wanted):
        if name not in names:
            reason = (
                f"nobody in '{store}' has this name yet; the rule holds once somebody does (streamreid gallery rename)"
            )
            yield f"identity {name}", reason, "yellow"


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
