"""``streamreid tune``: search tracker and association settings on caches."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from streamreid.cli.console import errors, output, set_up_logging, stop_on_signals
from streamreid.cli.progress_line import Work
from streamreid.errors import ConfigError
from streamreid.evaluation.tuning import Trial
from streamreid.replay.tuning import OBJECTIVES, TunedSettings, tune_settings

__all__ = ["tune"]


def tune(
    caches: Annotated[list[Path], typer.Argument(help="Folders that `streamreid run --cache` wrote.")],
    truth: Annotated[
        list[str],
        typer.Option(
            "--truth",
            "-t",
            help="Ground truth (MOT text) of a camera: CAMERA=FILE or CACHE/CAMERA=FILE. May be repeated.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Settings file to write, for `run`, `batch` and `replay` --settings.")
    ] = Path("tuned.yaml"),
    overwrite: Annotated[bool, typer.Option(help="Replace the settings file.")] = False,
    trials: Annotated[int, typer.Option(min=2, help="How many settings are tried, the defaults included.")] = 100,
    objective: Annotated[
        str, typer.Option(help=f"What is made great: {', '.join(OBJECTIVES)} (a sum means the mean of both).")
    ] = "hota+idf1",
    ids: Annotated[
        str,
        typer.Option(
            help=(
                "local: tracks inside cameras; global: identities; auto: global if a cache has ground truth of "
                "several cameras."
            )
        ),
    ] = "auto",
    hold_out: Annotated[
        list[Path] | None,
        typer.Option(
            help=(
                "A cache to validate on, not to train on. May be repeated. Default: the second half of every cache's "
                "time."
            )
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Search only settings that begin with this, e.g. tracker or association.probability. May be repeated."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the search; the same seed gives the same result.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table, no progress.")] = False,
) -> None:
    """Search tracker and association settings on caches, judged on a part that the search does not see.

    Prints the best settings by training score with their validation scores,
    and writes the very best as a settings file.

    A warning says if they do not beat the present settings in validation:
    then they fit the training part, not your cameras. Needs the extra tune.
    """
    set_up_logging(quiet=quiet)
    if out.exists() and not overwrite:
        raise ConfigError(f"'{out}' exists; pass --overwrite to replace it or choose another file (--out)")
    with Work("reading the caches", quiet=quiet) as work, ExitStack() as searching:
        watch = _Watch(work)

        def stage(name: str) -> None:
            work.step(name, trials if name == "trials" else None)
            searching.close()
            if name == "trials":  # only the search can end early with a result
                searching.enter_context(watch)

        found = tune_settings(
            caches,
            truth,
            objective=objective,
            ids=ids,
            trials=trials,
            hold_out=hold_out or (),
            only=only or (),
            seed=seed,
            progress=watch,
            stage=stage,
        )
    found.write(out)
    if not quiet:
        _print(found)
        output.print(Text(f"settings in {out}; use them: streamreid replay CACHE --settings {out}"), soft_wrap=True)
    if not found.tuning.improved:
        errors.print(
            "[bold yellow]warning:[/] in validation the settings found are not better than the present ones; keep "
            "those, or tune on more footage",
            highlight=False,
            soft_wrap=True,
        )


class _Watch:
    """Says how far the search is, and ends it at the first Ctrl-C, so that what was found is not lost."""

    def __init__(self, work: Work) -> None:
        self._work, self._stopped = work, False
        self._signals = stop_on_signals(self._stop)

    def _stop(self) -> None:
        self._stopped = True

    def __enter__(self) -> _Watch:
        self._signals.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals.__exit__(kind, value, trace)

    def __call__(self, trial: Trial, best: float) -> bool:
        self._work.update(trial.number)
        self._work.note(f"trial {trial.number}: {trial.training:.4f}, best {best:.4f}")
        if not errors.is_terminal and trial.number % 10 == 0:
            self._work.say(f"trial {trial.number}: {trial.training:.4f}, best {best:.4f}")
        return not self._stopped


def _print(result: TunedSettings) -> None:
    found = result.tuning
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("present", justify="right")
    others = [t for t in found.ranking if t.number != 0]
    for trial in others:
        table.add_column(f"#{trial.number}", justify="right", no_wrap=True)
    for r in result.space:
        table.add_row(r.key, *(f"{t.settings[r.key]:g}" for t in (found.default, *others)))
    for name in ("training", "validation"):
        table.add_row(
            f"{name} {result.objective}", *(f"{getattr(t, name):.4f}" for t in (found.default, *others)), style="bold"
        )
    output.print(table)
    for name, (before, after) in result.judged.items():
        said = ", ".join(
            f"{n.upper()} {getattr(before, n):.4f} -> {getattr(after, n):.4f}" for n in ("hota", "idf1", "mota")
        )
        output.print(f"{name}: {said}, IDSW {before.idsw} -> {after.idsw}", highlight=False, soft_wrap=True)
    output.print(f"{found.trials} settings tried, {found.refused} contradicted themselves", highlight=False)
