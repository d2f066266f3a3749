"""Better tracker and association settings, searched on caches and judged on a part that the search does not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import yaml

from streamreid._version import __version__
from streamreid.config.changes import change_settings
from streamreid.errors import ConfigError
from streamreid.evaluation import MotScores
from streamreid.evaluation.tuning import Trial, Tuning, search
from streamreid.replay.trials import Ids, Objective, Recording, load_recordings, objective_of, score_recordings, split
from streamreid.search_space import SEARCH_SPACE, Range
from streamreid.sinks.base import atomic_text

__all__ = ["OBJECTIVES", "TunedSettings", "tune_settings"]

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

Judged = dict[str, tuple[MotScores, MotScores]]


@dataclass(frozen=True, slots=True)
class TunedSettings:
    """What a search on caches found.

    Args:
        tuning: The trials.
        space: The settings that were searched.
        objective: What was maximised.
        ids: Whether tracks inside cameras or identities were scored.
        judged: Scores of the present and of the best settings, on "training" and "validation".
        caches: Names of the caches' folders.
    """

    tuning: Tuning
    space: tuple[Range, ...]
    objective: Objective
    ids: Ids
    judged: Judged
    caches: tuple[str, ...]

    @property
    def settings(self) -> dict[str, float]:
        """The best by dotted key, for ``Config.with_settings``."""
        return dict(self.tuning.best.settings)

    def write(self, path: Path) -> None:
        """Write a settings file, with what was found as a comment.

        Raises:
            OutputError: The file cannot be written.
        """
        found = self.tuning
        lines = [f"# Found by streamreid {__version__} tune on {', '.join(self.caches)} ({self.ids} ids)."]
        lines.append(f"# {self.objective} after {found.trials} trials, best by training; present settings -> these:")
        for name, (before, after) in self.judged.items():
            lines.append(f"#   {name}: {getattr(found.default, name):.4f} -> {getattr(found.best, name):.4f}")
            lines.append(
                f"#     HOTA {before.hota:.4f} -> {after.hota:.4f}, IDF1 {before.idf1:.4f} -> {after.idf1:.4f}, "
                f"IDSW {before.idsw} -> {after.idsw}"
            )
        if not found.improved:
            lines.append("# WARNING: not better than the present settings in validation.")
        with atomic_text(path) as file:
            file.write("\n".join(lines) + "\n" + yaml.safe_dump(change_settings({}, self.settings), sort_keys=False))


def tune_settings(
    caches: Sequence[Path],
    truth: Sequence[str],
    *,
    objective: str = "hota+idf1",
    ids: str = "auto",
    trials: int = 100,
    hold_out: Sequence[Path] = (),
    only: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[Trial, float], bool] | None = None,
    stage: Callable[[str], None] | None = None,
) -> TunedSettings:
    """Search settings on caches.

    Args:
        caches: Folders that ``streamreid run --cache`` or ``Pipeline(config, cache=...)`` wrote.
        truth: Ground truth (MOT text) of cameras: ``CAMERA=FILE`` or ``CACHE/CAMERA=FILE``.
        objective: One of ``OBJECTIVES``; a sum means the mean of both.
        ids: "local" scores tracks inside cameras, "global" identities; "auto" is global if a cache has ground truth of
            several cameras.
        trials: How many settings are tried, the present ones included.
        hold_out: Caches to validate on, not to train on; none: the second half of every cache's time.
        only: Search only settings whose dotted keys begin so.
        seed: The same seed gives the same result.
        progress: Called after each trial with it and the best score so far; False ends the search.
        stage: Called with "trials" and "judging the best" as these begin.

    Raises:
        ConfigError: An unknown objective, kind of ids or setting.
        DataError: A cache or ground truth is malformed or missing.
        MissingExtraError: Optuna is not installed.
    """
    goal = next((o for o in OBJECTIVES if o == objective), None)
    if goal is None:
        raise ConfigError(f"--objective {objective!r} is not one of {', '.join(OBJECTIVES)}")
    say = stage or (lambda _: None)
    recordings = load_recordings(caches, truth)
    kind = _ids(ids, recordings)
    training, validation = split(recordings, hold_out)
    space = _space(only, kind)
    say("trials")
    found = search(
        space,
        _present(space, recordings),
        lambda s: objective_of(score_recordings(training, s, kind), goal),
        lambda s: objective_of(score_recordings(validation, s, kind), goal),
        trials=trials,
        seed=seed,
        progress=progress,
    )
    say("judging the best")
    parts = {"training": training, "validation": validation}
    judged = {
        name: (
            score_recordings(part, found.default.settings, kind),
            score_recordings(part, found.best.settings, kind),
        )
        for name, part in parts.items()
    }
    names = tuple(r.folder.resolve().name for r in recordings)
    return TunedSettings(found, tuple(space), goal, kind, judged, names)


def _ids(text: str, recordings: Sequence[Recording]) -> Ids:
    if text == "auto":
        return "global" if any(len(r.truth) > 1 for r in recordings) else "local"
    known: tuple[Literal["local", "global"], ...] = get_args(Ids)
    for name in known:
        if text == name:
            return name
    raise ConfigError(f"--ids {text!r} is not one of auto, {', '.join(known)}")


def _space(only: Sequence[str], ids: Ids) -> list[Range]:
    """Association does not change tracks inside cameras, so it is not searched for them."""
    space = [r for r in SEARCH_SPACE if ids == "global" or not r.key.startswith("association.")]
    chosen = [r for r in space if not only or any(r.key.startswith(prefix) for prefix in only)]
    if not chosen:
        raise ConfigError(f"--only {' '.join(only)}: no such setting; known: {', '.join(r.key for r in space)}")
    return chosen


def _present(space: Sequence[Range], recordings: Sequence[Recording]) -> dict[str, float]:
    """The settings the first cache was run with."""
    data = recordings[0].config.model_dump()
    return {r.key: data[r.key.split(".")[0]][r.key.split(".")[1]] for r in space}
