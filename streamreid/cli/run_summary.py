"""The table at the end of a run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamreid.cli.console import print_notes
from streamreid.cli.tables import print_table
from streamreid.config import AssociationConfig
from streamreid.messages.deliveries import DeliveryState
from streamreid.pipeline.clock_monitor import describe_clock
from streamreid.runs import Summary
from streamreid.runs.summary import CameraSummary

__all__ = ["exit_code", "print_summary"]


def print_summary(summary: Summary, console: Console, association: AssociationConfig | None = None) -> None:
    """Per camera: frames, people, tracks. Overall: identities, how many were seen by more than one camera, speed, time
    per stage. With the settings of the association also why nobody is confirmed, where that is so."""
    live = any(camera.live is not None for camera in summary.cameras.values())
    _print_cameras(summary, console, live=live)
    console.print(
        f"\n[bold]{summary.identities}[/] identities, [bold]{summary.confirmed}[/] of them confirmed, "
        f"[bold]{summary.shared}[/] seen by more than one camera · "
        f"{summary.unlinked_tracks} unlinked tracks · "
        f"{summary.frames} frames in {summary.seconds:.1f} s = [bold]{summary.frames_per_second:.1f}[/] frames/s",
        highlight=False,
        soft_wrap=True,
    )
    if association is not None and summary.identities and not summary.confirmed and not live:
        console.print(_nobody_confirmed(association), highlight=False, soft_wrap=True)
    stages = " · ".join(f"{name} {ms:.1f}" for name, ms in summary.milliseconds.items() if ms)
    console.print(f"ms/frame: {stages}", highlight=False, soft_wrap=True)
    if live and summary.load:
        limit = f", limited by {summary.bottleneck}" if summary.bottleneck and summary.load > 1 else ""
        console.print(
            f"load {100 * summary.load:.0f} % of what this machine could follow{limit}", highlight=False, soft_wrap=True
        )
    console.print(f"detector {summary.detector} · engine {summary.engine}", highlight=False, soft_wrap=True)
    _print_notices(summary, console)
    print_notes(console, ((f"output '{name}' given up", why, "red") for name, why in summary.outputs_failed.items()))
    console.print(Text(f"results in {summary.folder}: {_few(summary.files)}"), soft_wrap=True)
    if summary.interrupted:
        console.print("interrupted: results hold everything up to the stop")


def _print_cameras(summary: Summary, console: Console, *, live: bool) -> None:
    """The table, and what was noticed of each camera."""
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    table.add_column("camera")
    for name in ("frames", "people", "confirmed", "unlinked", "tracks"):
        table.add_column(name, justify="right")
    for name in ("dropped", "age ms\np50/p95/p99", "clock") if live else ():
        table.add_column(name, justify="right")
    files = any(camera.file for camera in summary.cameras.values())
    if files:
        table.add_column("file", overflow="fold")
    for name, camera in summary.cameras.items():
        own = (Text(camera.file or ""),) if files else ()
        numbers = map(str, (camera.frames, camera.people, camera.confirmed, camera.unlinked, camera.tracks))
        table.add_row(name, *numbers, *(_live_cells(camera) if live else ()), *own)
    print_table(console, table)
    print_notes(console, ((name, "; ".join(camera.warnings), "yellow") for name, camera in summary.cameras.items()))
    print_notes(
        console, ((name, f"failed: {camera.error}", "red") for name, camera in summary.cameras.items() if camera.error)
    )


def _print_notices(summary: Summary, console: Console) -> None:
    """Warnings, wrong clocks, and what became of gallery, second looks and messages."""
    for warning in summary.warnings:
        console.print(Text(warning, "yellow"), soft_wrap=True)
    for offset in summary.clocks:
        if offset.wrong:
            console.print(Text(describe_clock(offset), "yellow"), soft_wrap=True)
    gallery = summary.gallery
    if gallery is not None:
        console.print(Text(f"gallery {gallery.store}: {gallery.returned} people known from before"), soft_wrap=True)
        if gallery.problem:
            console.print(Text(gallery.problem, "red"), soft_wrap=True)
        if gallery.lost:
            text = f"gallery: {gallery.lost} appearances and events were never stored"
            console.print(Text(text, "red"), soft_wrap=True)
    if summary.second_looks is not None:
        looks = summary.second_looks
        console.print(Text(looks.sentence()), soft_wrap=True)
        if looks.why_not:
            console.print(Text(f"no second looks: {looks.why_not}", "yellow"), soft_wrap=True)
    for state in summary.messages:
        console.print(Text(*_delivered(state)), soft_wrap=True)


def _delivered(state: DeliveryState) -> tuple[str, str]:
    """What became of the messages for a broker, and its colour."""
    text = f"messages: {state.broker} has {state.delivered}"
    if state.waiting:
        text += f", {state.waiting} wait in the outbox" + (f" ({state.error})" if state.error else "")
    for number, what in (
        (state.given_up, "given up (outbox full or too old)"),
        (state.refused, "refused"),
        (state.unstored, "never stored"),
    ):
        text += f", {number} {what}" if number else ""
    return text, "red" if state.lost else "yellow" if state.waiting else ""


def _live_cells(camera: CameraSummary) -> list[str]:
    age = camera.live.age if camera.live is not None else None
    ages = "-" if age is None else "/".join(f"{1000 * age[name]:.0f}" for name in ("p50", "p95", "p99"))
    clocks = sorted(camera.clocks, key=lambda name: -camera.clocks[name])
    return [str(camera.dropped), ages, ", ".join(clocks) or "-"]


def _few(files: list[str], limit: int = 8) -> str:
    return ", ".join(files[:limit]) + (f" and {len(files) - limit} more" if len(files) > limit else "")


def _nobody_confirmed(association: AssociationConfig) -> str:
    """Why there are people but no confirmed ones in a recording."""
    return (
        f"That nobody is confirmed is no fault: it takes {association.confirm_observations} frames and "
        f"{association.confirm_seconds:g} s in view, and nobody was in view for so long. Everybody is in the results; "
        "a longer recording, or a shorter association.confirm_seconds, confirms them."
    )


def exit_code(summary: Summary) -> int:
    """130 for a run that was interrupted, 3 where a camera failed, 2 where something could not be stored, else 0."""
    gallery = summary.gallery
    unsaved = bool(summary.outputs_failed) or (gallery is not None and bool(gallery.problem or gallery.lost))
    unsaved = unsaved or any(state.lost for state in summary.messages)
    return 130 if summary.interrupted else 3 if summary.failed else 2 if unsaved else 0
