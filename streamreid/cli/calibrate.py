"""``streamreid calibrate``: fit the link probability to a site."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.table import Table

from streamreid._version import __version__
from streamreid.association.track_constraints import TrackConstraints
from streamreid.cache.manifest import MANIFEST
from streamreid.cli.console import output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.config import Config
from streamreid.config.changes import parse_settings
from streamreid.config.inputs import load_settings
from streamreid.errors import ConfigError, DataError
from streamreid.evaluation import Table as Boxes
from streamreid.evaluation import read_mot
from streamreid.evaluation.track_labels import name_tracks
from streamreid.replay.calibration_report import calibration_page
from streamreid.replay.link_calibration import Calibrated, Walked, calibrate, walk
from streamreid.replay.replay import replayed_config
from streamreid.runs.review_export import read_pairs
from streamreid.sinks.base import atomic_text
from streamreid.sinks.jsonl_reader import find_results
from streamreid.types import TrackKey

__all__ = ["calibrate_command", "find_caches", "refuse_existing", "replay_config"]


def calibrate_command(
    caches: Annotated[
        list[Path], typer.Argument(help="Caches of `streamreid run --cache`, or folders of runs that have one in them.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Settings file to write, for `run`, `batch` and `replay` --settings.")
    ] = Path("calibration.yaml"),
    overwrite: Annotated[bool, typer.Option(help="Replace the files.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Also write the reliability diagram: .html, or .json for the numbers.")
    ] = None,
    truth: Annotated[
        list[str] | None,
        typer.Option(
            "--truth", "-t", help="Ground truth (MOT text with ids across cameras): CAMERA=FILE or CACHE/CAMERA=FILE."
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Pairs of tracks that people answered in a review (pairs.csv of `streamreid review --export`)."
        ),
    ] = None,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="YAML with tracker, association, ... sections.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A tracker or association setting.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the lot that parts the people.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table.")] = False,
) -> None:
    """Fit the link probability to your own cameras, from recordings without ground truth.

    Pieces of one track are one person, people seen by one camera at the same
    time are two. With --truth, pairs across cameras are used instead; with
    --pairs, what people answered in a review counts as well.

    Prints how honest the probabilities are, on people they were not fitted on.
    """
    set_up_logging(quiet=quiet)
    refuse_existing(out, report, overwrite=overwrite)
    folders = find_caches(caches)
    walked: list[Walked] = []
    with Work("following the people of the caches", total=len(folders), quiet=quiet) as work:
        for folder in folders:
            walked.append(walk(folder, replay_config(folder, settings_file, settings or [])))
            work.advance()
        work.step("fitting the link probability")
        said = None if pairs is None else _answers(walked, pairs)
        found = calibrate(walked, _persons(walked, truth) if truth else None, seed=seed, said=said)
    head = f"# Link probability fitted by streamreid {__version__} `calibrate`; use it with --settings.\n"
    with atomic_text(out) as file:
        file.write(
            head
            + yaml.safe_dump({"association": {"link": found.link.model_dump()}}, sort_keys=False, allow_unicode=True)
        )
    if report is not None:
        text = json.dumps(found.as_dict(), indent=1) + "\n" if report.suffix == ".json" else calibration_page(found)
        with atomic_text(report) as file:
            file.write(text)
    if not quiet:
        _print(found, out)


def refuse_existing(*paths: Path | None, overwrite: bool) -> None:
    """Files that are there are replaced only if that is wanted.

    Raises:
        ConfigError: One is there.
    """
    for path in (p for p in paths if p is not None and p.exists() and not overwrite):
        raise ConfigError(f"'{path}' exists; pass --overwrite to replace it or choose another name")


def find_caches(folders: Sequence[Path]) -> list[Path]:
    """The caches that are these folders, or are in them.

    Raises:
        ConfigError: One is given twice, and would count twice.
        DataError: A folder has none.
    """
    found = [_find_cache(folder) for folder in folders]
    given: dict[Path, Path] = {}
    for place, folder in zip(found, folders, strict=True):
        before = given.setdefault(place.resolve(), folder)
        if before is not folder:
            raise ConfigError(
                f"'{folder}' is the same cache as '{before}', whose tracks would count twice; give it once"
            )
    return found


def _find_cache(folder: Path) -> Path:
    """The cache that is this folder, or is in it.

    Raises:
        DataError: There is none.
    """
    for place in (folder, folder / "cache"):
        if (place / MANIFEST).is_file():
            return place
    if folder.is_dir() and find_results(folder):
        raise DataError(
            f"'{folder}' holds results but no features; run again with --cache {folder / 'cache'} and name that"
        )
    raise DataError(f"'{folder}' is no cache: it has no {MANIFEST}. Make one with: streamreid run ... --cache {folder}")


def replay_config(folder: Path, settings_file: Path | None, settings: list[str]) -> Config:
    """The settings of a cache, with those of a file and of the command line."""
    changes = {**load_settings(settings_file), **parse_settings(settings)}
    return replayed_config(folder).with_settings(changes, where="command line")


def _persons(walked: list[Walked], truth: list[str]) -> list[dict[TrackKey, int]]:
    """Who each track is, per recording."""
    result: list[dict[TrackKey, int]] = [{} for _ in walked]
    for item in truth:
        where, equals, file = item.partition("=")
        cache, _, camera = where.rpartition("/")
        rows = [
            i
            for i, w in enumerate(walked)
            if camera in w.boxes and (not cache or Path(cache).name == w.replay.folder.name)
        ]
        if not equals or not rows:
            known = sorted({c for w in walked for c in w.boxes})
            raise ConfigError(
                f"--truth {item}: write CAMERA=FILE or CACHE/CAMERA=FILE; the cameras are {', '.join(known)}"
            )
        if len(rows) > 1:
            raise ConfigError(f"--truth {item}: several caches have a camera '{camera}'; write CACHE/{camera}=FILE")
        table = read_mot(Path(file))
        for row in rows:
            boxes = walked[row].boxes[camera]
            mine = Boxes.build([b[0] for b in boxes], [b[1] for b in boxes], [b[2:] for b in boxes], where=camera)
            result[row] |= {(camera, track): person for track, person in name_tracks(mine, table).items()}
    return result


def _answers(walked: list[Walked], path: Path) -> TrackConstraints:
    """What people said of tracks of the cache.

    Raises:
        ConfigError: There are several caches, or it has none of these tracks.
    """
    if len(walked) > 1:
        raise ConfigError("--pairs names tracks of one run: give its cache alone")
    said = read_pairs(path)
    known = walked[0].recorder.spans
    if not any(one in known and other in known for one, other in said.pairs):
        raise ConfigError(
            f"'{path}' names no two tracks of '{walked[0].replay.folder}': give the cache of the run that was "
            "reviewed, with the tracker settings of that run"
        )
    return said


def _print(found: Calibrated, out: Path) -> None:
    table = Table("", "before", "after", title="link probability, on people it was not fitted on")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("expected calibration error", f"{found.before.error:.3f}", f"{found.after.error:.3f}")
    for i in (0, len(found.after.said) - 1):
        low, high = found.after.edges[i], found.after.edges[i + 1]
        table.add_row(
            f"true where {low:.1f} to {high:.1f} was said", f"{found.before.true[i]:.3f}", f"{found.after.true[i]:.3f}"
        )
    table.add_row("pairs of one person / two people", "", f"{found.same:,} / {found.different:,}")
    output.print(table)
    output.print(f"written: {out}; use it with: streamreid run ... --settings {out}", soft_wrap=True, highlight=False)
