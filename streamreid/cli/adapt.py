"""``streamreid adapt``: fit an engine's features to a site, without labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from streamreid.cli.calibrate import find_caches, refuse_existing, replay_config
from streamreid.cli.console import output, set_up_logging
from streamreid.cli.fine_tune import fine_tune as tune_engine
from streamreid.cli.progress_line import Work
from streamreid.replay.link_calibration import Walked, walk
from streamreid.replay.site_fitting import FittedSite, fit_site
from streamreid.sinks.base import atomic_text

__all__ = ["adapt"]


def adapt(
    caches: Annotated[
        list[Path], typer.Argument(help="Caches of `streamreid run --cache`, or folders of runs that have one in them.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help=(
                "File to write, for the setting `association.adaptation` (default site.npz); with --fine-tune the "
                "folder of the new engine and its adaptation (default site)."
            ),
        ),
    ] = None,
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune",
            help="Also train the engine further on pictures of the tracks (extra train). Takes minutes.",
        ),
    ] = False,
    engine: Annotated[
        Path | None, typer.Option(help="Folder of the caches' engine, where it is not where it was. For --fine-tune.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="How long to train. For --fine-tune.")] = 60,
    overwrite: Annotated[bool, typer.Option(help="Replace the files.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Also write the figures: a .json file; with --fine-tune also a page (.html).")
    ] = None,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="YAML with tracker, association, ... sections.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A tracker or association setting.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the lot that parts the tracks.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table.")] = False,
) -> None:
    """Fit the engine's features to your own cameras, from recordings without ground truth.

    Learns how each camera differs from the others, and what varies about one
    and the same person. Judged on tracks that it was not fitted on; where it
    is not better there, nothing is written.

    The caches must be of one site and one engine. Takes seconds.

    With --fine-tune the engine itself is trained further, on pictures that are
    cut out of the recordings once more. An interrupted training goes on where
    it stopped. Judged and, where it is not better, left alone in the same way.
    """
    set_up_logging(quiet=quiet)
    folders = find_caches(caches)
    if fine_tune:
        tune_engine(
            folders,
            out or Path("site"),
            engine=engine,
            report=report,
            settings_file=settings_file,
            settings=settings or [],
            steps=steps,
            seed=seed,
            overwrite=overwrite,
            quiet=quiet,
        )
        return
    out = out or Path("site.npz")
    refuse_existing(out, report, overwrite=overwrite)
    found = _fit(folders, settings_file, settings or [], seed=seed, quiet=quiet)
    if report is not None:
        with atomic_text(report) as file:
            file.write(json.dumps(found.as_dict(), indent=1) + "\n")
    if found.adaptation is not None:
        found.adaptation.save(out)
    if not quiet:
        _print(found, out)


def _fit(folders: list[Path], settings_file: Path | None, settings: list[str], *, seed: int, quiet: bool) -> FittedSite:
    walked: list[Walked] = []
    with Work("following the people of the caches", total=len(folders), quiet=quiet) as work:
        for folder in folders:
            walked.append(walk(folder, replay_config(folder, settings_file, settings)))
            work.advance()
        work.step("fitting the features")
        return fit_site(walked, seed=seed)


def _print(found: FittedSite, out: Path) -> None:
    table = Table("", "log-loss", "separation", title="one person or two, on tracks it was not fitted on")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("as the engine gives them", f"{found.before.log_loss:.3f}", f"{found.before.separation:.2f}")
    for strength, judged in found.after.items():
        name = "cameras' means" if strength == 0 else f"cameras' means, whitened by {strength:g}"
        mark = " (taken)" if strength == found.strength else ""
        table.add_row(name + mark, f"{judged.log_loss:.3f}", f"{judged.separation:.2f}")
    output.print(table)
    tracks = ", ".join(f"{c} {n}" for c, n in found.tracks.items())
    output.print(f"tracks by camera: {tracks}; {found.pairs} pairs of two cameras", soft_wrap=True, highlight=False)
    if found.adaptation is None:
        output.print("nothing is written: none is better than the features as they are", highlight=False)
        return
    output.print(
        f"written: {out}; use it with: streamreid run ... --set association.adaptation={out}",
        soft_wrap=True,
        highlight=False,
    )
