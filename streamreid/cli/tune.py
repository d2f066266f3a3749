"""``streamreid tune``: search tracker and association settings on caches."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer
import yaml
from rich.table import Table
from rich.text import Text

from streamreid import __version__
from streamreid.cli.console import errors, output, set_up_logging, stop_on_signals
from streamreid.cli.progress_line import Work
from streamreid.cli.trials import (
    OBJECTIVES,
    Ids,
    Objective,
    Recording,
    load_recordings,
    objective_of,
    score_recordings,
    split,
)
from streamreid.errors import ConfigError
from streamreid.evaluation import MotScores
from streamreid.evaluation.tuning import Trial, Tuning, search
from streamreid.search_space import SEARCH_SPACE, Range
from streamreid.sinks.base import atomic_text

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
    goal = next((o for o in OBJECTIVES if o == objective), None)
    if goal is None:
        raise ConfigError(f"--objective {objective!r} is not one of {', '.join(OBJECTIVES)}")
    if out.exists() and not overwrite:
        raise ConfigError(f"'{out}' exists; pass --overwrite to replace it or choose another file (--out)")
    with Work("reading the caches", quiet=quiet) as work:
        recordings = load_recordings(caches, truth)
        kind = _ids(ids, recordings)
        training, validation = split(recordings, hold_out or [])
        space = _space(only or [], kind)
        work.step("trials", trials)
        with _Watch(work) as watch:
            found = search(
                space,
                _defaults(space, recordings),
                lambda s: objective_of(score_recordings(training, s, kind), goal),
                lambda s: objective_of(score_recordings(validation, s, kind), goal),
                trials=trials,
                seed=seed,
                progress=watch,
            )
        work.step("judging the best")
        judged = {
            name: _judge(found, part, kind) for name, part in (("training", training), ("validation", validation))
        }
    _write(out, found, goal, kind, recordings, judged)
    if not quiet:
        _print(found, goal, space, judged)
        output.print(Text(f"settings in {out}; use them: streamreid replay CACHE --settings {out}"), soft_wrap=True)
    if not found.improved:
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


def _ids(text: str, recordings: list[Recording]) -> Ids:
    if text == "auto":
        return "global" if any(len(r.truth) > 1 for r in recordings) else "local"
    if text == "local":
        return "local"
    if text == "global":
        return "global"
    raise ConfigError(f"--ids {text!r} is not one of auto, local, global")


def _space(only: list[str], ids: Ids) -> list[Range]:
    """Association does not change tracks inside cameras, so it is not searched for them."""
    space = [r for r in SEARCH_SPACE if ids == "global" or not r.key.startswith("association.")]
    chosen = [r for r in space if not only or any(r.key.startswith(prefix) for prefix in only)]
    if not chosen:
        raise ConfigError(f"--only {' '.join(only)}: no such setting; known: {', '.join(r.key for r in space)}")
    return chosen


def _defaults(space: list[Range], recordings: list[Recording]) -> dict[str, float]:
    """The settings the first cache was run with."""
    data = recordings[0].config.model_dump()
    return {r.key: data[r.key.split(".")[0]][r.key.split(".")[1]] for r in space}


def _judge(found: Tuning, part: list[Recording], ids: Ids) -> tuple[MotScores, MotScores]:
    return score_recordings(part, found.default.settings, ids), score_recordings(part, found.best.settings, ids)


def _print(found: Tuning, goal: str, space: list[Range], judged: dict[str, tuple[MotScores, MotScores]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("present", justify="right")
    others = [t for t in found.ranking if t.number != 0]
    for trial in others:
        table.add_column(f"#{trial.number}", justify="right", no_wrap=True)
    for r in space:
        table.add_row(r.key, *(f"{t.settings[r.key]:g}" for t in (found.default, *others)))
    for name in ("training", "validation"):
        table.add_row(f"{name} {goal}", *(f"{getattr(t, name):.4f}" for t in (found.default, *others)), style="bold")
    output.print(table)
    for name, (before, after) in judged.items():
        said = ", ".join(
            f"{n.upper()} {getattr(before, n):.4f} -> {getattr(after, n):.4f}" for n in ("hota", "idf1", "mota")
        )
        output.print(f"{name}: {said}, IDSW {before.idsw} -> {after.idsw}", highlight=False, soft_wrap=True)
    output.print(f"{found.trials} settings tried, {found.refused} contradicted themselves", highlight=False)


def _write(
    path: Path,
    found: Tuning,
    goal: Objective,
    ids: Ids,
    recordings: list[Recording],
    judged: dict[str, tuple[MotScores, MotScores]],
) -> None:
    sections: dict[str, dict[str, float]] = {}
    for key, value in found.best.settings.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    lines = [
        f"# Found by streamreid {__version__} tune on {', '.join(r.folder.resolve().name for r in recordings)} ({ids} "
        "ids)."
    ]
    lines.append(f"# {goal} after {found.trials} trials, best by training; present settings -> these:")
    for name, (before, after) in judged.items():
        lines.append(f"#   {name}: {getattr(found.default, name):.4f} -> {getattr(found.best, name):.4f}")
        lines.append(
            f"#     HOTA {before.hota:.4f} -> {after.hota:.4f}, IDF1 {before.idf1:.4f} -> {after.idf1:.4f}, IDSW "
            f"{before.idsw} -> {after.idsw}"
        )
    if not found.improved:
        lines.append("# WARNING: not better than the present settings in validation.")
    with atomic_text(path) as file:
        file.write("\n".join(lines) + "\n" + yaml.safe_dump(sections, sort_keys=False))
