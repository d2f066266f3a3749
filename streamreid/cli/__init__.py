"""The command line: one file per verb.

Exit codes: 0 ok, 2 usage, configuration or a missing file, 3 a source failed, 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

# Tracking multiplies small matrices; the cores belong to the graphs. Before numpy is imported, and only if the user did
# not choose.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer

from streamreid import __version__
from streamreid._scarcity import is_scarcity
from streamreid._startup import dump_when_stuck
from streamreid.cli import (
    batch,
    build_engine,
    calibrate,
    config,
    demo,
    doctor,
    engine,
    evaluate,
    evaluate_reid,
    gallery,
    learn_topology,
    replay,
    run,
    search,
    serve,
    synth,
    train,
    tune,
    weights,
)
from streamreid.cli.console import errors
from streamreid.errors import StreamReIDError
from streamreid.secrets import redact

__all__ = ["app", "main"]

_LIMITS = (
    "The process is out of memory, threads, open files or space: give it more (MemoryMax, TasksMax and LimitNOFILE of "
    "a service, ulimit of a shell), or follow fewer cameras"
)

app = typer.Typer(
    name="streamreid",
    help=(
        "Follow people across many cameras: detect, describe by visible body parts, track, and associate across "
        "cameras."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"streamreid {__version__}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Follow people across many cameras: detect, describe by visible body parts, track, and associate across
    cameras."""


app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.command("replay")(replay.replay)
app.command("tune")(tune.tune)
app.command("calibrate")(calibrate.calibrate_command)
app.command("learn-topology")(learn_topology.learn_topology_command)
app.command("batch")(batch.batch)
app.command("synth")(synth.synth)
app.add_typer(config.app, name="config")
app.command("build-engine")(build_engine.build)
app.add_typer(engine.app, name="engine")
app.add_typer(gallery.app, name="gallery")
app.command("search")(search.search)
app.add_typer(weights.app, name="weights")
app.add_typer(evaluate.app, name="evaluate")
evaluate.app.command("reid")(evaluate_reid.reid)
app.command("train")(train.train)
app.command("parse-labels")(train.parse_labels)
app.command("export")(train.export)


def main() -> None:
    """Entry point: every error that is raised on purpose becomes one message and its exit code, and so does a lack of
    memory, threads or descriptors."""
    dump_when_stuck()
    try:
        app()
    except StreamReIDError as error:
        errors.print(f"[bold red]error:[/] {_escape(redact(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(130)
    except Exception as error:
        if not is_scarcity(error):
            raise
        logging.getLogger(__name__).debug("out of resources", exc_info=error)
        what = f"{type(error).__name__}: {redact(error)}" if str(error) else "out of memory"
        errors.print(f"[bold red]error:[/] {_escape(what)}. {_LIMITS}", highlight=False, soft_wrap=True)
        sys.exit(StreamReIDError.exit_code)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
