"""The command line: one file per verb, imported when the verb is called.

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
from streamreid.cli.console import errors
from streamreid.cli.lazy_group import LazyGroup, Verb
from streamreid.errors import StreamReIDError
from streamreid.secrets import redact

__all__ = ["app", "main"]

_LIMITS = (
    "The process is out of memory, threads, open files or space: give it more (MemoryMax, TasksMax and LimitNOFILE of "
    "a service, ulimit of a shell), or follow fewer cameras"
)

_RUN, _ENGINES, _GALLERY, _SHOW, _FIT, _MORE = (
    "Follow people",
    "Engines",
    "Gallery",
    "Count and show",
    "Fit to your cameras",
    "Evaluate and look up",
)


class _Verbs(LazyGroup):
    verbs = (
        Verb("run", "streamreid.cli.run:run", _RUN, "Follow people in videos and streams; write who was where, when."),
        Verb("serve", "streamreid.cli.serve:serve", _RUN, "Follow live cameras until stopped, with an HTTP API."),
        Verb("batch", "streamreid.cli.batch:batch", _RUN, "Run many recordings; what is finished is not done again."),
        Verb("replay", "streamreid.cli.replay:replay", _RUN, "Track and link again from a cache, with other settings."),
        Verb("demo", "streamreid.cli.demo:demo", _RUN, "Fetch a sample and follow its people across four cameras."),
        Verb("doctor", "streamreid.cli.doctor:doctor", _RUN, "Test cameras, detector and engine before a run."),
        Verb("train", "streamreid.cli.train:train", _ENGINES, "Train a part-based ReID network."),
        Verb(
            "parse-labels",
            "streamreid.cli.train:parse_labels",
            _ENGINES,
            "Write the part labels that a training needs.",
        ),
        Verb("export", "streamreid.cli.train:export", _ENGINES, "Write a trained network as an engine bundle."),
        Verb(
            "build-engine",
            "streamreid.cli.build_engine:build",
            _ENGINES,
            "Compile an engine or detector for a target, and prove it.",
        ),
        Verb("engine", "streamreid.cli.engine:app", _ENGINES, "Import, inspect, verify and time engine bundles."),
        Verb("detector", "streamreid.cli.detector:app", _ENGINES, "Try detectors on your own clips."),
        Verb(
            "gallery",
            "streamreid.cli.gallery:app",
            _GALLERY,
            "Remembered people: list, search, correct, export, forget.",
        ),
        Verb(
            "search",
            "streamreid.cli.search:search",
            _GALLERY,
            "Find who looks like a picture: where, when, how probably.",
        ),
        Verb("report", "streamreid.cli.report:report", _SHOW, "How many different people were where and when."),
        Verb("view", "streamreid.cli.view:view", _SHOW, "A page of a run, a cache or a gallery, in the browser."),
        Verb(
            "review",
            "streamreid.cli.review:review",
            _SHOW,
            "The most doubtful links of a run; what was answered, as files.",
        ),
        Verb("clip", "streamreid.cli.clip:clip", _SHOW, "One film of one person's appearances in all cameras."),
        Verb(
            "calibrate",
            "streamreid.cli.calibrate:calibrate_command",
            _FIT,
            "Fit link probabilities to your cameras, without labels.",
        ),
        Verb("adapt", "streamreid.cli.adapt:adapt", _FIT, "Fit an engine's features to your cameras, without labels."),
        Verb(
            "learn-topology",
            "streamreid.cli.learn_topology:learn_topology_command",
            _FIT,
            "Learn the camera graph from runs.",
        ),
        Verb("tune", "streamreid.cli.tune:tune", _FIT, "Search tracker and association settings on caches."),
        Verb(
            "evaluate", "streamreid.cli.evaluate:app", _MORE, "Score tracks, identities, world positions and engines."
        ),
        Verb("events", "streamreid.cli.events:app", _MORE, "Messages to brokers: schemas, and deliver what waits."),
        Verb(
            "synth",
            "streamreid.cli.synth:synth",
            _MORE,
            "Make scenes with exact ground truth, and people that never lived.",
            further=(
                Verb(
                    "people",
                    "streamreid.cli.synth_people:people",
                    _MORE,
                    "Make pictures of people that never lived, with exact part labels.",
                ),
            ),
        ),
        Verb("weights", "streamreid.cli.weights:app", _MORE, "List and fetch named detectors and samples."),
        Verb("cluster", "streamreid.cli.cluster:app", _MORE, "Show the machines and workers of a cluster."),
        Verb("config", "streamreid.cli.config:app", _MORE, "Check a cameras file, or print its schema."),
    )


app = typer.Typer(
    name="streamreid",
    cls=_Verbs,
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
