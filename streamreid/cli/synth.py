"""``streamreid synth``: many-camera videos with exact ground truth, from a folder of person pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from streamreid.cli.console import output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.errors import ConfigError
from streamreid.synth import Report, SceneConfig, check_folder, make_scene

__all__ = ["synth"]


def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the scene.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help=(
                "Folders of person pictures named as in Market-1501 (0002_c1s1_000451_03.jpg). Of a whole data set, "
                "its query and bounding_box_test are taken, never bounding_box_train."
            )
        ),
    ] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="People that never lived instead of folders of pictures.")
    ] = False,
    clothes: Annotated[
        Path | None, typer.Option(help="Folder of MakeHuman's clothes, for --synthetic (default: fetched, CC0).")
    ] = None,
    people: Annotated[int, typer.Option(help="How many people.")] = 30,
    cameras: Annotated[int, typer.Option(help="How many cameras.")] = 4,
    level: Annotated[str, typer.Option(help="How much people are hidden: light, medium or heavy.")] = "medium",
    seconds: Annotated[
        float | None, typer.Option(help="Length (default: as long as keeps the places as crowded as the level says).")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 10.0,
    size: Annotated[str, typer.Option(help="Width and height of the pictures.")] = "768x432",
    visits: Annotated[int, typer.Option(help="How many places everybody walks through.")] = 2,
    linger: Annotated[
        int, typer.Option(help="To how many points more than usual everybody walks inside each place.")
    ] = 0,
    overlap: Annotated[float, typer.Option(help="Share of the cameras that share their place with others.")] = 0.5,
    together: Annotated[int, typer.Option(help="How many cameras then look at one place.")] = 2,
    away: Annotated[
        str, typer.Option(help="Seconds that people stay away between two places, least and most: 60-300.")
    ] = "0-0",
    passing: Annotated[float, typer.Option(help="Share of visits that only cross a corner of the place.")] = 0.0,
    place: Annotated[str, typer.Option(help="Width and depth of a place in metres.")] = "11x8",
    lighting: Annotated[float, typer.Option(help="How differently cameras render light and colour.")] = 1.0,
    skew: Annotated[float, typer.Option(help="Clocks are wrong by up to so many seconds.")] = 0.0,
    drop: Annotated[float, typer.Option(help="Share of frames that get lost.")] = 0.0,
    offline: Annotated[int, typer.Option(help="How many cameras are off for a fifth of the time.")] = 0,
    seed: Annotated[int, typer.Option(help="Another number, another scene.")] = 0,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="Part labels of `streamreid parse-labels`, one folder per folder of pictures or one for all."
        ),
    ] = None,
    parser: Annotated[
        Path | None,
        typer.Option(help="bodypix_mobilenetv1_050_stride16.onnx: finds the people where there are no labels."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Cameras drawn at once (default: one per core). The scene is the same.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a scene that is in the folder already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
) -> None:
    """Make videos of several cameras with exact ground truth, from pictures of people."""
    set_up_logging(quiet=quiet)
    values = {
        "people": people,
        "cameras": cameras,
        "level": level,
        "seconds": seconds,
        "fps": fps,
        "visits": visits,
        "linger": linger,
        "overlap": overlap,
        "together": together,
        "away": _range("away", away),
        "passing": passing,
        "place": _pair("place", place),
        "lighting": lighting,
        "skew": skew,
        "drop": drop,
        "offline": offline,
        "seed": seed,
    }
    config = _config(size, values)
    if bool(images) == synthetic:
        raise ConfigError("give folders of person pictures, or --synthetic for people that never lived; one of them")
    check_folder(out, overwrite=overwrite)
    begin = time.perf_counter()
    with Work("making people" if synthetic else "cutting out", total=config.people, quiet=quiet) as work:
        report = make_scene(
            config,
            images or (),
            out,
            labels=labels or (),
            clothes=clothes,
            parser=parser,
            processes=processes,
            overwrite=overwrite,
            tick=work.advance,
            stage=work.step,
        )
    if not quiet:
        _tell(out, config, report, time.perf_counter() - begin)


def _tell(out: Path, config: SceneConfig, report: Report, seconds: float) -> None:
    speed = report.duration / max(seconds, 1e-6)
    output.print(
        f"{out}: {len(report.frames)} cameras, {sum(report.frames.values())} frames, {report.duration:.0f} s "
        f"({speed:.1f} x real time)\n"
        f"{report.occupancy:.1f} people per frame, {report.visibility:.0%} of each seen on average, {report.shared} "
        f"of {config.people} seen by more than one camera\n"
        f"next: streamreid run --sources {out / 'cams.yaml'}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _pair(name: str, text: str) -> tuple[float, float]:
    width, _, height = text.partition("x")
    try:
        return float(width), float(height)
    except ValueError:
        raise ConfigError(
            f"--{name} {text}: write WIDTHxHEIGHT, for example {'768x432' if name == 'size' else '11x8'}"
        ) from None


def _range(name: str, text: str) -> tuple[float, float]:
    least, dash, most = text.partition("-")
    try:
        return float(least), float(most if dash else least)
    except ValueError:
        raise ConfigError(f"--{name} {text}: write LEAST-MOST in seconds, for example 60-300") from None


def _config(size: str, values: dict[str, Any]) -> SceneConfig:
    try:
        width, height = (int(side) for side in _pair("size", size))
    except (ValueError, OverflowError):
        raise ConfigError(f"--size {size}: width and height are whole numbers of pixels") from None
    try:
        return SceneConfig(width=width, height=height, **values)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        name = ".".join(map(str, first["loc"]))
        raise ConfigError(f"--{name or 'scene'}: {reason} (got {first['input']})" if name else reason) from None
