"""``streamreid events``: messages for other programs: their schemas, and those that still wait."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from streamreid._folders import FolderLock
from streamreid.cli.console import errors, output, set_up_logging
from streamreid.config import load_config
from streamreid.config.messages import site_name
from streamreid.errors import ConfigError
from streamreid.messages import OUTBOX
from streamreid.messages.courier import Courier
from streamreid.messages.factory import make_brokers
from streamreid.messages.outbox import Outbox
from streamreid.messages.schemas import KINDS
from streamreid.messages.schemas import schema as json_schema

__all__ = ["app"]

app = typer.Typer(help="Messages to brokers: print their schemas, deliver what waits.", no_args_is_help=True)


@app.command()
def schema(
    kind: Annotated[str | None, typer.Argument(help="identity, place or run; without it all of them, by name.")] = None,
) -> None:
    """Print the JSON Schemas of the messages."""
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"there is no kind of message '{kind}'; known are {', '.join(KINDS)}")
    found = {name: json_schema(name) for name in KINDS} if kind is None else json_schema(kind)
    typer.echo(json.dumps(found, indent=2))


@app.command()
def deliver(
    folder: Annotated[Path, typer.Argument(help="Folder of results with an outbox.db.")],
    sources: Annotated[Path, typer.Option("--sources", "-s", help="YAML of the run: its section messages.")],
    seconds: Annotated[float, typer.Option(min=0, max=86400, help="How long to try.")] = 60.0,
) -> None:
    """Deliver messages that wait in the outbox of a run that is over. Exit code 0 if all are delivered, 2 if some still
    wait."""
    set_up_logging(quiet=False, verbose=False)
    config = load_config(sources).messages
    path = folder / OUTBOX
    if not config.brokers:
        raise ConfigError(f"{sources}: the section 'messages' names no broker")
    if not path.is_file():
        output.print(f"nothing waits: there is no {path}", highlight=False)
        return
    site = config.site or site_name(folder.resolve().name)
    with FolderLock(folder):
        brokers = make_brokers(config, site)
        bounds = config.outbox
        outbox = Outbox(path, config.brokers, max_size=bounds.max_size, max_age=bounds.max_age)
        courier = Courier(outbox, brokers)
        courier.start()
        end = time.monotonic() + seconds
        try:
            while any(d.waiting for d in courier.deliveries) and time.monotonic() < end:
                time.sleep(0.1)
        finally:
            courier.close(max(0.0, min(1.0, end - time.monotonic())), remove=True)
    for state in courier.states:
        text = f"{state.broker}: {state.delivered} delivered, {state.waiting} wait"
        text += f", {state.lost} given up" if state.lost else ""
        (errors if state.waiting else output).print(
            text + (f" ({state.error})" if state.error else ""), highlight=False, soft_wrap=True
        )
    if any(state.waiting or state.lost for state in courier.states):
        raise typer.Exit(2)
