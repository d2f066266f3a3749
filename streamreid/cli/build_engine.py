"""``streamreid build-engine``: compile a ReID engine or a detector for a runtime, and prove the result."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.markup import escape

from streamreid.cli.console import output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.compiling.build import BuildOptions
from streamreid.compiling.bundle_folder import bundle_name
from streamreid.compiling.records import BuildRecord, PrecisionName, TargetName, Thresholds, default_thresholds
from streamreid.detection.detector_build import build_detector
from streamreid.errors import ConfigError, DataError, EngineError
from streamreid.evaluation.reid import PersonImages, rank_scores
from streamreid.reid.bundle import Bundle, load_bundle, write_bundle
from streamreid.reid.engine_build import BuildRequest, build_engine
from streamreid.reid.factory import shipped_engines
from streamreid.reid.probe_set import Probe
from streamreid.types import FloatArray

__all__ = ["build", "describe_build", "score_probe"]

_CHECKPOINTS = (".pt", ".pth", ".ckpt")


def build(
    source: Annotated[
        str,
        typer.Argument(
            help="A training's checkpoint (.pt), an engine bundle, a shipped engine's name, or a detector's .onnx."
        ),
    ],
    target: Annotated[str, typer.Option(help=f"What will run it: {', '.join(get_args(TargetName))}.")],
    precision: Annotated[
        str, typer.Option(help=f"What it computes in: {', '.join(get_args(PrecisionName))}.")
    ] = "fp32",
    max_batch: Annotated[int, typer.Option(min=1, max=1024, help="Largest batch; larger ones are split.")] = 32,
    kind: Annotated[str, typer.Option(help="reid or detector.")] = "reid",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to create; NAME-TARGET-PRECISION by default.")
    ] = None,
    calibration_crops: Annotated[
        Path | None,
        typer.Option(
            help="int8: folder of real pictures (crops of people; whole frames for a detector) to measure ranges on."
        ),
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Folder of real pictures to prove it on; Market-1501 names also give R1 and mAP. Drawn figures by "
                "default."
            )
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=64, max=4096, help="Detectors: longest side of the input where the graph leaves it open.")
    ] = 640,
    min_cosine: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Least median cosine of every part, instead of the precision's.")
    ] = None,
    max_map_drop: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Most that mAP may fall, instead of the precision's.")
    ] = None,
    program: Annotated[
        bool,
        typer.Option(
            "--program", help="From a checkpoint: also keep the network as a torch program, for the torch runtime."
        ),
    ] = False,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Write it even if it misses its thresholds; auto never takes it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
) -> None:
    """Compile an engine: reference graph, compiled form and a report of how near the two are, in one folder."""
    set_up_logging()
    chosen = BuildOptions(
        _one_of(target, get_args(TargetName), "--target"),  # type: ignore[arg-type]
        _one_of(precision, get_args(PrecisionName), "--precision"),  # type: ignore[arg-type]
        max_batch,
        thresholds=_thresholds(precision, min_cosine, max_map_drop),
    )
    folder = out or Path(f"{Path(source).stem if Path(source).suffix else Path(source).name}-{target}-{precision}")
    if _one_of(kind, ("reid", "detector"), "--kind") == "detector":
        with Work(f"building {folder.name}"):
            detector, record = build_detector(
                source,
                folder,
                chosen,
                size=size,
                frames=calibration_crops,
                probe=probe,
                keep_failed=keep_failed,
                force=force,
            )
        output.print(
            f"{detector.folder}: {describe_build(record)}\nuse it as detector.model: {detector.folder}",
            markup=False,
            highlight=False,
        )
        return
    request = BuildRequest(chosen, calibration_crops, probe, score_probe, keep_failed)
    with tempfile.TemporaryDirectory() as scratch, Work(f"building {folder.name}"):
        bundle, record = build_engine(_source(source, Path(scratch), program), folder, request, force=force)
    output.print(f"{bundle.folder}: {escape(describe_build(record))}", highlight=False, soft_wrap=True)


def describe_build(record: BuildRecord) -> str:
    """One line for people: what it is, what was found in it, and what it reached."""
    counts = ", ".join(f"{n} {p}" for p, n in sorted(record.found.counts.items()))
    found = f"{record.found.precision} by its {record.found.source}{f' ({counts})' if counts else ''}"
    text = (
        f"{record.key}, batches up to {record.max_batch}, found {found}; {record.fingerprint.library} "
        f"{record.fingerprint.library_version}"
    )
    if record.fingerprint.device:
        text += f" on {record.fingerprint.device}"
    report = record.parity
    if report is None:
        return f"{text}; not compared with its reference yet"
    reached = []
    if report.cosine_median:
        reached.append(
            f"median cosine {min(report.cosine_median):.4f}, 1st percentile {min(report.cosine_p01):.4f} (lowest part)"
        )
    if report.visibility_error is not None:
        reached.append(f"visibility off by {report.visibility_error:.4f}, rank agreement {report.rank_agreement:.3f}")
    for name, pair in (("R1", report.r1), ("mAP", report.map)):
        if pair is not None:
            reached.append(f"{name} {pair[0]:.4f} -> {pair[1]:.4f}")
    if report.matched_boxes is not None:
        reached.append(f"agreement of boxes {report.matched_boxes:.4f}")
    return (
        f"{text}; {'; '.join(reached)}; on {report.probe}; "
        f"{'passed' if report.passed else 'FAILED: ' + '; '.join(report.failures)}"
    )


def score_probe(similarity: FloatArray, probe: Probe) -> tuple[float, float] | None:
    """Rank-1 accuracy and mAP of a labelled probe set, every picture searching all those of other cameras; None if that
    is impossible."""
    assert probe.persons is not None
    assert probe.cameras is not None
    everybody = PersonImages(tuple(Path(str(n)) for n in range(len(probe))), probe.persons, probe.cameras)
    try:
        scores = rank_scores(similarity, everybody, everybody)
    except DataError:
        return None
    return scores.r1, scores.map


def _exported(checkpoint: Path, scratch: Path, program: bool) -> Bundle:
    from streamreid.training.requirements import need_torch

    need_torch("Building from a checkpoint")
    from streamreid.training.engine_export import export_bundle

    bundle = export_bundle(checkpoint, scratch / "exported", name=bundle_name(None, checkpoint.resolve().parent))
    if not program:
        return bundle
    from streamreid.training.export import export_program
    from streamreid.training.loop import load_network

    size = (bundle.manifest.input.height, bundle.manifest.input.width)
    written = export_program(load_network(checkpoint)[0], scratch / "model.pt2", size)
    files = {name: bundle.folder / name for name in bundle.manifest.files} | {written.name: written}
    return write_bundle(bundle.folder, bundle.manifest.model_copy(update={"program": written.name}), files, force=True)


def _source(source: str, scratch: Path, program: bool) -> Bundle:
    path = Path(source).expanduser()
    if source in shipped_engines():
        return load_bundle(shipped_engines()[source])
    if path.suffix.lower() in _CHECKPOINTS:
        if not path.is_file():
            raise EngineError(f"{path}: no such checkpoint")
        return _exported(path, scratch, program)
    if path.is_file():
        raise EngineError(
            f"{path}: this is a file; wrap it first: streamreid engine import {path} --out FOLDER, then build from "
            "FOLDER (a detector: --kind detector)"
        )
    return load_bundle(path)


def _thresholds(precision: str, cosine: float | None, drop: float | None) -> Thresholds | None:
    if (cosine is None and drop is None) or precision not in get_args(PrecisionName):
        return None
    changes = {"cosine_median": cosine, "map_drop": drop}
    given = {name: value for name, value in changes.items() if value is not None}
    return default_thresholds(cast(PrecisionName, precision)).model_copy(update=given)


def _one_of(value: str, known: tuple[str, ...], option: str) -> str:
    if value not in known:
        raise ConfigError(f"{option} {value}: known are {', '.join(known)}")
    return value
