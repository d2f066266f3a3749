"""``streamreid doctor``: test cameras, detector and engine before a run, and say what to expect."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from streamreid.camera_names import file_name
from streamreid.cli import options as o
from streamreid.cli.console import errors, output, print_notes, set_up_logging
from streamreid.cli.tables import print_table
from streamreid.config.inputs import configure, split_sources
from streamreid.media import is_picture, is_video
from streamreid.runs.camera_check import CameraCheck
from streamreid.runs.doctor import Diagnosis, examine
from streamreid.runs.throughput_forecast import Forecast

__all__ = ["doctor"]


def doctor(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="YAML file with cameras and settings; or videos, folders of images, addresses, webcam numbers."
        ),
    ],
    seconds: Annotated[
        float, typer.Option(min=1, max=600, help="How long to look at the cameras; all at the same time.")
    ] = 5.0,
    detector: o.Detector = None,
    engine: o.Engine = None,
    settings: o.Set = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    verbose: o.Verbose = False,
) -> None:
    """Test every camera, the detector and the engine; predict frame rates and ages. Exit code 0 if all is well, 3 if a
    camera fails, 2 if a model or a broker of messages does."""
    set_up_logging(quiet=not verbose, verbose=verbose)
    videos, file = _inputs(sources)
    config = configure(videos, file, changes=o.changes(settings, detector=detector, engine=engine))
    say = None if as_json else lambda text: errors.print(f"{text} ...", highlight=False)
    found = examine(config, seconds=seconds, say=say, serving=file is not None)
    if as_json:
        output.print_json(json.dumps({**dataclasses.asdict(found), "healthy": found.healthy}))
    else:
        _print(found)
    wrong = any(m.error for m in found.models) or any(b.error for b in found.brokers)
    raise typer.Exit(2 if wrong else 3 if any(c.error for c in found.cameras) else 0)


def _inputs(sources: list[str]) -> tuple[list[str], Path | None]:
    """Videos or a YAML file as `streamreid run` takes them; here the YAML file may have any ending that is no video's,
    picture's or table's."""
    path = Path(sources[0])
    if (
        len(sources) == 1
        and path.is_file()
        and not is_video(path)
        and not is_picture(path)
        and path.suffix.lower() != ".txt"
    ):
        return [], path
    return split_sources(sources, None)


def _print(found: Diagnosis) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("camera", "left"),
        ("first frame", "right"),
        ("size", "right"),
        ("frames/s", "right"),
        ("clock", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("late by", "people"):
        table.add_column(name, justify="right")
    files = {camera.name: file_name(camera.name, camera.uri) or "" for camera in found.cameras}
    told = any(files.values())
    if told:
        table.add_column("file", overflow="fold")
    for camera in found.cameras:
        table.add_row(*_cells(camera), *((Text(files[camera.name]),) if told else ()))
    print_table(output, table)
    print_notes(output, ((camera.name, "; ".join(camera.warnings), "yellow") for camera in found.cameras))
    print_notes(output, ((camera.name, camera.error or "", "red") for camera in found.cameras))
    output.print()
    for model in found.models:
        text = f"{model.role} {model.name}: " + (
            model.error or ("ok" if model.milliseconds is None else f"{model.milliseconds:.1f} ms/frame")
        )
        output.print(Text(text, "red" if model.error else ""), soft_wrap=True)
        if model.reading is not None:
            output.print(Text(f"{model.role}: read as {model.reading}"), soft_wrap=True)
        for warning in model.warnings:
            output.print(Text(f"{model.role}: {warning}", "yellow"), soft_wrap=True)
    for broker in found.brokers:
        text = f"messages {broker.name}: " + (broker.error or f"ok, connected in {broker.milliseconds or 0:.0f} ms")
        output.print(Text(text, "red" if broker.error else ""), soft_wrap=True)
    if found.expected is not None:
        _print_forecast(found.expected)
    elif not any(c.live for c in found.cameras) and found.healthy and found.models[0].milliseconds is not None:
        cost = sum(m.milliseconds or 0.0 for m in found.models)
        output.print(f"files: about {1000 / max(cost, 1e-3):.0f} frames/s, every frame is used", highlight=False)


def _cells(camera: CameraCheck) -> list[Any]:
    if camera.error is not None and camera.first_frame is None:
        return [Text(camera.name, "red"), "-", "-", "-", "-", "-", "-"]
    return [
        camera.name,
        "-" if camera.first_frame is None else f"{camera.first_frame:.2f} s",
        "-" if camera.size is None else f"{camera.size[0]}x{camera.size[1]}",
        f"{camera.rate:.1f}",
        camera.clock or "-",
        f"{1000 * camera.delay:.0f} ms" if camera.live else "-",
        f"{camera.people:.1f}",
    ]


def _print_forecast(expected: Forecast) -> None:
    output.print(f"\nexpected of a run: load {100 * expected.load:.0f} % of what this machine can do", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("camera")
    for name in ("frames/s", "of", "age p50", "p95", "p99"):
        table.add_column(name, justify="right")
    for name, camera in expected.cameras.items():
        ages = (
            ["-"] * 3
            if camera.age is None
            else [f"{1000 * v:.0f} ms" for v in (camera.age.p50, camera.age.p95, camera.age.p99)]
        )
        table.add_row(name, f"{camera.rate:.1f}", f"{camera.of:.1f}", *ages)
    print_table(output, table)
    if expected.load > 0.95:
        stride = math.ceil(expected.load / 0.9)
        output.print(
            Text(
                "overload: frames will be dropped, evenly over the cameras. To use every frame that is asked for: "
                f"stride: {stride} for all cameras, a smaller detector (detector.size, person-nano), fewer cameras, or "
                "a faster machine",
                "yellow",
            ),
            soft_wrap=True,
        )
