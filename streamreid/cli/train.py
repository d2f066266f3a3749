"""``streamreid train``, ``parse-labels`` and ``export``: from a folder of person pictures to an engine bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamreid.cli.console import output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.errors import ConfigError, DataError
from streamreid.training.requirements import need_torch

if TYPE_CHECKING:
    from streamreid.datasets.labels import Parser
    from streamreid.training.recipe import TrainConfig

__all__ = ["export", "parse_labels", "train"]


def train(
    recipe: Annotated[Path, typer.Argument(help="The training recipe (YAML); see configs/train-small.yaml.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Train a part-based ReID network; an interrupted training goes on where it stopped."""
    set_up_logging(quiet=quiet)
    need_torch("Training")
    from streamreid.training.held_out import score_held_out
    from streamreid.training.loop import first_process
    from streamreid.training.loop import train as run
    from streamreid.training.recipe import load_recipe

    config = load_recipe(recipe)
    with Work("training", total=config.schedule.steps, quiet=quiet or not first_process()) as work:

        def tell(numbers: dict[str, Any]) -> None:
            work.update(numbers["step"] + 1)
            work.note(f"loss {numbers['loss']:.2f}")
            if "score" in numbers:
                work.say(f"step {numbers['step'] + 1}: held-out people, mean mAP {numbers['score']:.3f}")

        last = run(config, score_held_out, tell)
        if not first_process():
            return
        work.step("drawing the report")
        pictures = _report(last, config)
    for picture in pictures:
        output.print(str(picture), soft_wrap=True, highlight=False)
    output.print(f"{last}\nnext: streamreid export {last} --out engines/NAME", soft_wrap=True)


def _report(last: Path, config: TrainConfig) -> list[Path]:
    """Draw what a training reached. Returns the pictures."""
    from streamreid.datasets.identity_split import split_people
    from streamreid.training.loop import load_network
    from streamreid.training.report import write_report

    return list(
        write_report(load_network(last)[0], split_people(config.data).validation, Path(config.out), size=config.size)
    )


def parse_labels(
    images: Annotated[Path, typer.Argument(help="Folder of person pictures; its subfolders are read too.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the class maps to write; subfolders as in the pictures.")
    ],
    model: Annotated[
        Path | None, typer.Option("--model", help="Body parts by BodyPix: bodypix_mobilenetv1_050_stride16.onnx")
    ] = None,
    pose: Annotated[
        Path | None,
        typer.Option("--pose", help="... or around keypoints: a pose model of Ultralytics (yolo11n-pose.pt)."),
    ] = None,
    fields: Annotated[
        Path | None, typer.Option("--fields", help="... or from BPBReID's confidence fields: folder of .npy files.")
    ] = None,
    parts: Annotated[
        str, typer.Option(help="five, eight, five_vertical, or a YAML file with one's own parts.")
    ] = "five",
    sheet: Annotated[
        Path | None,
        typer.Option(help="Also draw a contact sheet of pictures and class maps (shows people: keep it private)."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Write a part label per picture; goes on where an earlier run stopped."""
    set_up_logging(quiet=quiet)
    from streamreid.datasets.labels import contact_sheet, write_labels
    from streamreid.media import is_picture

    if not images.is_dir():
        raise DataError(f"{images}: no such folder of person pictures")
    parser = _parser(model, pose, fields, parts)
    folders: dict[Path, list[Path]] = {}
    for path in sorted(p for p in images.rglob("*") if is_picture(p)):
        folders.setdefault(path.parent, []).append(path)
    if not folders:
        raise DataError(f"{images}: holds no pictures (.jpg, .png, .bmp, .tif)")
    report = None
    with Work("labels", total=sum(map(len, folders.values())), quiet=quiet) as work:
        for folder, paths in folders.items():
            report = write_labels(paths, out / folder.relative_to(images), parser, report=report, tick=work.advance)
    assert report is not None
    output.print(
        f"{report.written} written, {report.kept} kept from before, {len(report.left_out)} left out", highlight=False
    )
    for name, reason in list(report.left_out.items())[:10]:
        output.print(f"  {name}: {reason}", markup=False, highlight=False, soft_wrap=True)
    if sheet is not None:
        largest = max(folders, key=lambda f: len(folders[f]))
        contact_sheet(folders[largest], out / largest.relative_to(images), sheet)
        output.print(f"contact sheet: {sheet}", soft_wrap=True)


def _parser(model: Path | None, pose: Path | None, fields: Path | None, parts: str) -> Parser:
    """The one parser that was asked for."""
    if sum(choice is not None for choice in (model, pose, fields)) != 1:
        raise ConfigError(
            "parse-labels: say where the parts come from with exactly one of --model, --pose and --fields"
        )
    from streamreid.datasets.part_grouping import load_grouping

    grouping = load_grouping(parts)
    if model is not None:
        from streamreid.datasets.bodypix import BodyPix

        return BodyPix(model, grouping=grouping)
    from streamreid.datasets.keypoints import FieldReader, PoseParser

    if pose is not None:
        return PoseParser(pose, grouping)
    assert fields is not None
    return FieldReader(fields, grouping)


def export(
    checkpoint: Annotated[Path, typer.Argument(help="best.pt or last.pt of a training.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the bundle to create.")],
    name: Annotated[str | None, typer.Option(help="Name of the engine; the folder's name by default.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, training data's terms included.")] = "unknown",
    description: Annotated[str, typer.Option(help="One line for lists.")] = "part-based ReID",
    rank: Annotated[int, typer.Option(help="'auto' takes the engine of the highest rank.")] = 0,
    base: Annotated[
        float,
        typer.Option(
            help=(
                "Share of the pretrained weights to keep, 0 to 1: more of it carries over better to cameras never seen."
            )
        ),
    ] = 0.0,
    unified: Annotated[
        bool,
        typer.Option(
            "--unified",
            hidden=True,
            help="Add the graph of the nine gallery variants of occlusion unification (needs a grader).",
        ),
    ] = False,
    same_as: Annotated[
        Path | None,
        typer.Option(
            help=(
                "An earlier bundle of these weights: if features are the same bit by bit, galleries written with it "
                "stay valid."
            )
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
) -> None:
    """Write a checkpoint as an engine bundle, with its link probability fitted on the people held out of training."""
    set_up_logging()
    need_torch("Exporting")
    from streamreid.training.engine_export import export_bundle

    with Work(f"exporting {checkpoint.name}"):
        bundle = export_bundle(
            checkpoint,
            out,
            name=name,
            licence=licence,
            description=description,
            rank=rank,
            base=base,
            unified=unified,
            same_as=same_as,
            force=force,
        )
    c = bundle.calibration
    output.print(
        f"{bundle.folder}: {len(bundle.manifest.parts)} parts of {bundle.manifest.dim} values; slope {c.slope:.2f}, "
        f"intercept {c.intercept:.2f}"
    )
