"""``streamreid synth``: many-camera videos with exact ground truth, from a folder of person pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from pydantic import ValidationError

from streamreid.cli.console import output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.errors import ConfigError, DataError
from streamreid.runtimes.base import available_threads
from streamreid.synth import Person, Picture, Report, SceneConfig, check_folder, fresh_scene, read_people, record
from streamreid.synth.cutouts import Masks

__all__ = ["synth"]

log = logging.getLogger(__name__)
_PARTS = ("query", "bounding_box_test")


def synth(
    images: Annotated[
        list[Path],
        typer.Argument(
            help=(
                "Folders of person pictures named as in Market-1501 (0002_c1s1_000451_03.jpg). Of a whole data set, "
                "its query and bounding_box_test are taken, never bounding_box_train."
            )
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the scene.")],
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
        "place": _pair("place", place),
        "lighting": lighting,
        "skew": skew,
        "drop": drop,
        "offline": offline,
        "seed": seed,
    }
    config = _config(size, values)
    check_folder(out, overwrite=overwrite)
    begin = time.perf_counter()
    report = _make(
        out,
        config,
        images,
        (labels or [], parser),
        processes=processes or available_threads(),
        overwrite=overwrite,
        quiet=quiet,
    )
    if not quiet:
        _tell(out, config, report, time.perf_counter() - begin)


def _make(
    out: Path,
    config: SceneConfig,
    images: list[Path],
    outlines: tuple[list[Path], Path | None],
    *,
    processes: int,
    overwrite: bool,
    quiet: bool,
) -> Report:
    """Cut people out and record the scene, with a progress bar. ``outlines``: folders of labels, and a body-part
    model."""
    with Work("cutting out", total=config.people, quiet=quiet) as work:
        found, names = load_people(images, *outlines, config, threads=processes, tick=work.advance)
        work.step("frames", config.frames * config.cameras)
        with fresh_scene(out, overwrite=overwrite) as folder:
            return record(config, found, folder, processes=processes, tick=work.advance, describe=names)


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


def _config(size: str, values: dict[str, Any]) -> SceneConfig:
    try:
        width, height = (int(side) for side in _pair("size", size))
    except (ValueError, OverflowError):
        raise ConfigError(f"--size {size}: width and height are whole numbers of pixels") from None
    try:
        return SceneConfig(width=width, height=height, **values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"--{name or 'scene'}: {first['msg']} (got {first['input']})" if name else str(first["msg"])
        ) from None


def load_people(
    images: list[Path],
    labels: list[Path],
    parser: Path | None,
    config: SceneConfig,
    *,
    threads: int = 2,
    tick: Callable[[], None] | None = None,
) -> tuple[list[Person], Callable[[int], str]]:
    """The people of a scene, drawn by lot from some folders and cut out; and what the folders call them.

    Raises:
        DataError: A folder is missing, holds no pictures, or a name does not tell person and camera.
    """
    from streamreid.datasets.layouts import list_pictures

    if len(labels) not in (0, 1, len(images)):
        raise ConfigError(
            f"{len(labels)} folders of labels for {len(images)} folders of pictures; give one for all or one for each "
            "(--labels)"
        )
    pictures: list[Picture] = []
    label_of: dict[Path, Path] = {}
    names: dict[int, str] = {}
    for number, folder in enumerate(images):
        parts = [folder / part for part in _PARTS if (folder / part).is_dir()] or [folder]
        own = labels[number if len(labels) > 1 else 0] if labels else None
        for named in (n for part in parts for n in list_pictures(part)):
            person = number * 1_000_000 + named.person
            names[person] = f"{folder.name}/{named.person:04d}"
            pictures.append(Picture(named.path, person, named.camera))
            if own is not None:
                label_of[named.path] = own
    _check_cameras(pictures, config, images)
    people = read_people(
        pictures, _masks(label_of, parser), config.people, seed=config.seed, threads=threads, tick=tick
    )
    alike = sum(len(p.cutouts) == 1 for p in people)
    if alike and config.cameras > 1:
        log.warning(
            "%d of %d people have pictures of one camera only: they look alike in all cameras of the scene",
            alike,
            len(people),
        )
    return people, names.__getitem__


def _check_cameras(pictures: list[Picture], config: SceneConfig, images: list[Path]) -> None:
    seen: dict[int, set[int]] = {}
    for picture in pictures:
        seen.setdefault(picture.person, set()).add(picture.camera)
    if config.cameras > 1 and all(len(cameras) == 1 for cameras in seen.values()):
        raise ConfigError(
            f"{', '.join(map(str, images))}: nobody has pictures of two cameras, so everybody would look alike in all "
            "of the scene's; give a folder with two or more cameras, or --cameras 1"
        )


def _masks(label_of: dict[Path, Path], parser: Path | None) -> Masks:
    """Part masks from labels that were written before, else from the body-part model, else none."""
    for folder in set(label_of.values()):
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder of labels; make it with streamreid parse-labels, or leave out --labels"
            )
    if label_of and not any((label / f"{path.stem}.png").exists() for path, label in label_of.items()):
        raise DataError(
            f"{', '.join(sorted({str(folder) for folder in label_of.values()}))}: no label of any of the pictures; "
            "labels have the pictures' names. Make them with streamreid parse-labels, or leave out --labels"
        )
    find = None if parser is None else _parser(parser)

    def mask(path: Path, image: Any) -> Any:
        label = label_of.get(path)
        if label is not None and (file := label / f"{path.stem}.png").exists():
            found = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            if found is None:
                raise DataError(f"{file}: not a picture; delete it and run parse-labels again")
            return found
        return None if find is None else find(image)

    return mask


def _parser(model: Path) -> Callable[[Any], Any]:
    from streamreid.datasets.bodypix import BodyPix
    from streamreid.datasets.labels import class_map, unusable

    network = BodyPix(model)

    def find(image: Any) -> Any:
        found = class_map(network(image))
        return None if unusable(found) else found

    return find
