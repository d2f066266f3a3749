"""``streamreid engine``: wrap, look at, list, verify and time ReID engines; see ``build-engine`` for compiling them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from rich.markup import escape
from rich.table import Table

from streamreid.cli import engine_verify
from streamreid.cli.build_engine import describe_build
from streamreid.cli.console import errors, output, set_up_logging
from streamreid.cli.engine_verify import differences_here, is_detector
from streamreid.cli.progress_line import Work
from streamreid.detection.bundle import load_detector_bundle
from streamreid.errors import EngineError
from streamreid.reid.bundle import Bundle, load_bundle
from streamreid.reid.factory import shipped_engines
from streamreid.reid.model_import import PRESETS, ImportOptions, Preset, import_bundle
from streamreid.reid.model_trial import Figures

__all__ = ["app"]

app = typer.Typer(
    help="ReID engines: wrap a model as an engine bundle, look into one, list those that ship.", no_args_is_help=True
)


@app.command("import")
def import_(
    model: Annotated[Path, typer.Argument(help="A global ReID model: .onnx, or the .xml of an OpenVINO IR.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.")],
    name: Annotated[str | None, typer.Option(help="Name of the engine; the folder's name by default.")] = None,
    preset: Annotated[
        str | None, typer.Option(help=f"Colour and normalisation: {', '.join(PRESETS)}; tried by default.")
    ] = None,
    feature: Annotated[
        str | None, typer.Option("--output", help="Name of the output that is the feature, where there are several.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder of person crops to try the model on, beside drawn ones; Market-1501 names say who is shown."
        ),
    ] = None,
    untested: Annotated[
        bool, typer.Option("--untested", help="Import it although the trial on pictures speaks against it.")
    ] = False,
    height: Annotated[int | None, typer.Option(help="Height of a crop, where the graph leaves it open.")] = None,
    width: Annotated[int | None, typer.Option(help="Width of a crop, where the graph leaves it open.")] = None,
    licence: Annotated[str, typer.Option(help="The model's licence.")] = "unknown",
    calibrate_on: Annotated[
        Path | None, typer.Option(help="Folder of known people (Market-1501 names) to fit the link probability on.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
) -> None:
    """Wrap a plain ReID model: afterwards it is an engine of one part."""
    set_up_logging()
    if preset is not None and preset not in PRESETS:
        raise typer.BadParameter(f"'{preset}' is unknown; known: {', '.join(PRESETS)}", param_hint="--preset")
    chosen = cast("Preset | None", preset)
    options = ImportOptions(
        name=name,
        preset=chosen,
        output=feature,
        pictures=pictures,
        untested=untested,
        height=height,
        width=width,
        licence=licence,
    )
    tried: list[Figures] = []
    with Work("calibrating" if calibrate_on is not None else f"trying {model.name} on pictures") as work:
        bundle = import_bundle(
            model,
            out,
            options,
            calibrate_on=calibrate_on,
            force=force,
            progress=work.update,
            tried=tried.append,
        )
    table = _table(bundle)
    for figures in tried:
        table.add_row("tried", escape(str(figures)))
    output.print(table)


@app.command("inspect")
def inspect(bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or the name of a shipped one.")]) -> None:
    """Check a bundle's files and say what it is, with every compiled form in it."""
    set_up_logging()
    folder = shipped_engines().get(bundle, Path(bundle))
    if is_detector(folder):
        detector = load_detector_bundle(folder)
        output.print(
            f"{detector.manifest.name}: detector, {detector.manifest.model}, licence {detector.manifest.licence}",
            markup=False,
        )
        builds = detector.manifest.builds
    else:
        loaded = load_bundle(folder)
        output.print(_table(loaded))
        builds = loaded.manifest.builds
    for record in builds.values():
        output.print(f"built {record.created}: {describe_build(record)}", markup=False, highlight=False, soft_wrap=True)
        for difference in differences_here(record):
            output.print(f"  on this machine: {difference}", markup=False, highlight=False, soft_wrap=True)


app.command("verify")(engine_verify.verify)
app.command("bench")(engine_verify.bench)


@app.command("list")
def list_() -> None:
    """The engines that come with this installation, the one that 'auto' takes first."""
    set_up_logging()
    table = Table("name", "parts", "values", "crop", "MB", "licence", "what", box=None, pad_edge=False)
    found: list[Bundle] = []
    for name, folder in shipped_engines().items():
        try:
            found.append(load_bundle(folder))
        except EngineError as error:
            errors.print(f"{name}: {error}", markup=False, highlight=False, soft_wrap=True)
    for bundle in sorted(found, key=lambda b: (-b.manifest.rank, b.manifest.name)):
        m = bundle.manifest
        crop = f"{m.input.height}x{m.input.width}"
        table.add_row(
            m.name,
            str(len(m.parts)),
            str(m.dim),
            crop,
            f"{_megabytes(bundle):.1f}",
            escape(m.licence),
            escape(m.description),
        )
    if found:
        output.print(table)
    else:
        output.print(
            "no engine came with this installation; wrap a model with: streamreid engine import MODEL --out FOLDER",
            soft_wrap=True,
        )


def _table(bundle: Bundle) -> Table:
    m = bundle.manifest
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    numbers = ("scale", m.input.scale), ("bias", m.input.bias)
    rows = [
        ("name", m.name),
        ("folder", str(bundle.folder)),
        ("description", m.description),
        ("licence", m.licence),
        ("model", f"{m.model}, {_megabytes(bundle):.1f} MB in {len(m.files)} files, checksums right"),
        ("input", f"{m.input.height} x {m.input.width} (height x width), {m.input.color.upper()}"),
        *((key, ", ".join(f"{v:.5g}" for v in values)) for key, values in numbers),
        ("parts", f"{len(m.parts)} of {m.dim} values: {', '.join(m.parts)}"),
        ("visibility", f"output '{m.outputs.visibility}'" if m.outputs.visibility else "none: always fully visible"),
        ("calibration", _calibration(bundle)),
        ("rank", str(m.rank)),
        ("made", f"{m.created or 'unknown date'}, streamreid {m.version or 'unknown'}"),
        ("fingerprint", bundle.fingerprint[:16]),
    ]
    for key, value in rows:
        table.add_row(key, escape(value))
    return table


def _calibration(bundle: Bundle) -> str:
    c = bundle.calibration
    even = f", even at similarity {-c.intercept / c.slope:.3f}" if c.slope else ""
    return f"slope {c.slope:.3f}, intercept {c.intercept:.3f}{even}; fitted on: {c.source}"


def _megabytes(bundle: Bundle) -> float:
    return sum((bundle.folder / name).stat().st_size for name in bundle.manifest.files) / 1e6
