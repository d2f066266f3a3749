"""``streamreid batch``: many recordings, resumable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from streamreid._yaml import validate
from streamreid.cli import options as o
from streamreid.cli.console import errors, output, print_notes, set_up_logging, stop_on_signals
from streamreid.cli.progress import RunProgress
from streamreid.cli.tables import print_table
from streamreid.config import ClusterConfig
from streamreid.config.changes import change_settings
from streamreid.config.inputs import load_settings
from streamreid.runs.batch import Batch, LeftOut, survey
from streamreid.runs.recording import Recording, RecordingResult

if TYPE_CHECKING:
    from streamreid.cluster.ray_batch import Progress as BatchProgress

__all__ = ["batch"]

_SHOWN = 20
"""Files of a kind that are named on the screen."""

_RUNNING_SHOWN = 4
"""Recordings in work whose names are shown."""

_COLOURS = {"done": "green", "skipped": "cyan", "failed": "red", "interrupted": "yellow"}


def batch(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Videos, or folders of videos and of multi-camera recordings (subfolders); also s3://bucket/videos."
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Each recording gets a folder in here; also s3://bucket/results.")
    ],
    settings_file: o.SettingsFile = None,
    together: Annotated[bool, typer.Option(help="All videos directly given are cameras of one recording.")] = False,
    independent: Annotated[bool, typer.Option(help="Videos in subfolders are independent too.")] = False,
    detector: o.Detector = None,
    engine: o.Engine = None,
    delay: o.Delay = None,
    gallery: o.Gallery = None,
    offline: o.Offline = None,
    cluster: o.Cluster = None,
    settings: o.Set = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Run recordings one after the other. What is finished is not done again; a broken video does not stop the others
    (exit code 3). With --cluster on many workers, one recording at a time on each.

    Identities are decided with everything that is known at a recording's end
    (--online: while it runs, as `streamreid run` does).
    """
    set_up_logging(quiet=quiet, verbose=verbose)
    models = {"detector": detector, "engine": engine, "delay": delay, "gallery": gallery}
    changes = o.changes(settings, offline=offline, cluster=cluster, **models)
    sections = change_settings({}, {"association.offline": True, **load_settings(settings_file), **changes})
    recordings, left_out = survey(paths, together=together, independent=independent)
    where = validate(ClusterConfig, sections.get("cluster", {}), where="cluster")
    with RunProgress(errors, quiet=quiet) as progress:
        if where.address is None:
            results = _here(Batch(recordings, out, sections, left_out=left_out), progress)
        else:
            results = _on_cluster(recordings, out, sections, where, left_out, progress)
    if not quiet:
        _print(results, len(recordings))
        _print_left_out(left_out)
    interrupted = len(results) < len(recordings) or any(r.status == "interrupted" for r in results)
    raise typer.Exit(130 if interrupted else 3 if any(r.status == "failed" for r in results) else 0)


def _here(job: Batch, progress: RunProgress) -> list[RecordingResult]:
    with stop_on_signals(job.stop):
        return list(job.run(progress=progress.update, begin=lambda r: progress.say(f"recording '{r.name}'")))


def _on_cluster(
    recordings: list[Recording],
    out: str,
    sections: dict[str, Any],
    cluster: ClusterConfig,
    left_out: list[LeftOut],
    progress: RunProgress,
) -> list[RecordingResult]:
    from streamreid.cluster.ray_batch import RayBatch  # Ray is an extra

    job = RayBatch(recordings, out, sections, cluster=cluster, left_out=left_out)
    progress.say(f"cluster {cluster.address}")
    with stop_on_signals(job.stop):
        found = list(job.run(progress=lambda state: progress.offer(lambda: _line(state))))
    order = {recording.name: number for number, recording in enumerate(recordings)}
    return sorted(found, key=lambda result: order[result.name])


def _line(state: BatchProgress) -> str:
    """How far a batch on a cluster is."""
    running = [name for name in state.workers.values() if name]
    names = ", ".join(running[:_RUNNING_SHOWN]) + (", ..." if len(running) > _RUNNING_SHOWN else "")
    return (
        f"{state.finished}/{state.total} recordings · {len(state.workers)} workers"
        + (f" · {state.lost} lost and started again" if state.lost else "")
        + (f" · in work: {names}" if names else "")
    )


def _print(results: list[RecordingResult], total: int) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("recording")
    table.add_column("status")
    for name in ("frames", "identities", "confirmed", "unlinked", "seconds"):
        table.add_column(name, justify="right")
    files = any(r.file for r in results)
    if files:
        table.add_column("file", overflow="fold")
    for r in results:
        table.add_row(
            r.name,
            Text(r.status, _COLOURS[r.status]),
            *map(str, (r.frames, r.identities, r.confirmed, r.unlinked_tracks)),
            f"{r.seconds:.1f}",
            *((Text(r.file or ""),) if files else ()),
        )
    print_table(output, table)
    print_notes(output, ((r.name, r.reason, _COLOURS[r.status]) for r in results if r.status != "skipped"))
    counts = {status: sum(r.status == status for r in results) for status in _COLOURS}
    said = [f"{n} {status}{' (finished before)' * (status == 'skipped')}" for status, n in counts.items() if n]
    said += [f"{total - len(results)} not begun"] if total > len(results) else []
    output.print(f"{total} recording{'s' * (total != 1)}: {', '.join(said)}", highlight=False)


def _print_left_out(left_out: list[LeftOut]) -> None:
    for reason in dict.fromkeys(item.reason for item in left_out):
        paths = [str(item.path) for item in left_out if item.reason == reason]
        shown = ", ".join(paths[:_SHOWN]) + (
            f" and {len(paths) - _SHOWN} more (see batch.json)" if len(paths) > _SHOWN else ""
        )
        output.print(Text(f"left out: {shown}: {reason}", "yellow"), soft_wrap=True)
