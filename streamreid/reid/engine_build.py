"""Build a compiled form of an engine into a bundle, prove it, and prove it again elsewhere."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from streamreid.compiling.build import BuildOptions, build_form
from streamreid.compiling.bundle_folder import save_manifest
from streamreid.compiling.machine import find_gpu, fingerprint
from streamreid.compiling.policy import LoadOptions, open_build
from streamreid.compiling.records import (
    PLAN_TARGETS,
    BuildRecord,
    ParityReport,
    PrecisionName,
    TargetName,
    Thresholds,
    default_thresholds,
)
from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.reid.bundle import Bundle, write_bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.reid.parity import Embeds, Score, batch_sizes, judge, measure, widened
from streamreid.reid.probe_set import Probe, generated_probe, read_probe
from streamreid.runtimes import GraphFiles, Runtime
from streamreid.types import FloatArray

__all__ = ["BuildRequest", "build_engine", "reference_embedder", "save_reports", "verify_build"]

log = logging.getLogger(__name__)

_CALIBRATE_ON = 128
"""Crops on which ranges are measured for int8; bounds the time of a build."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build and how to prove it.

    Args:
        options: Target, precision, batch, thresholds.
        calibration_crops: Folder of real crops to measure int8's ranges on.
        probe: Folder of real crops to compare on; a generated set by default.
        score: Scores a labelled probe set.
        keep_failed: Write the bundle even if it misses its thresholds (its report says so, and auto never takes it).
    """

    options: BuildOptions
    calibration_crops: Path | None = None
    probe: Path | None = None
    score: Score | None = None
    keep_failed: bool = False


def build_engine(
    bundle: Bundle, out: str | Path, request: BuildRequest, *, force: bool = False
) -> tuple[Bundle, BuildRecord]:
    """Add a compiled form to a bundle.

    The new bundle holds the reference, what was built before, and the new form, which is compared with the reference on
    this machine.

    Args:
        bundle: The source; may lie in ``out`` itself (with ``force``).
        out: Folder to create.
        request: What to build.
        force: Replace an existing bundle.

    Returns:
        The new bundle and what was built.

    Raises:
        EngineError: It cannot be built, is not in the precision asked for, or is too far from the reference.
        DataError: No pictures to calibrate or to compare on.
    """
    manifest, options = bundle.manifest, request.options
    size = (manifest.input.height, manifest.input.width)

    def inputs() -> tuple[FloatArray, str]:
        if request.calibration_crops is None:
            raise EngineError("int8 needs real pictures to measure its ranges on; pass --calibration-crops FOLDER")
        probe = read_probe(request.calibration_crops, size, most=_CALIBRATE_ON)
        return manifest.input.image().apply(probe.crops), probe.source

    with tempfile.TemporaryDirectory() as scratch:
        built = build_form(bundle.model, bundle.compiled.checksum, options, Path(scratch), inputs=inputs)
        files = {name: bundle.folder / name for name in manifest.files} | built.files
        variants = dict(manifest.variants)
        if built.variant is not None:
            variants[built.variant] = built.record.graph
        # The newest one is the last: that is the one which auto takes.
        builds = {k: r for k, r in manifest.builds.items() if k != built.record.key} | {built.record.key: built.record}
        manifest = manifest.model_copy(update={"variants": variants, "builds": builds})
        draft = write_bundle(Path(scratch) / "draft", manifest, files)
        record = _proved(draft, built.record, request, size)
        manifest = manifest.model_copy(update={"builds": builds | {record.key: record}})
        return write_bundle(out, manifest, files, force=force), record


def verify_build(
    bundle: Bundle,
    key: str,
    probe: Probe,
    *,
    reference: Embeds | None = None,
    reference_name: str = "",
    score: Score | None = None,
) -> ParityReport:
    """Compare one compiled form with the reference, here and now, in batches of several sizes.

    Args:
        bundle: The bundle.
        key: "target/precision" of a form that was built, or "runtime/precision" of one that needs no building (fp32,
            bf16 on CPUs).
        probe: What both are shown.
        reference: The trained network; the bundle's ONNX graph in fp32 on ONNX Runtime by default.
        reference_name: Its name in the report.
        score: Scores a labelled probe set.

    Raises:
        EngineError: No such form, or it does not run here.
    """
    record = bundle.manifest.builds.get(key)
    target, _, precision = key.partition("/")
    image = bundle.manifest.input.image()
    if record is not None:
        runtime: Runtime = open_build(bundle.compiled, key, image=image)
        limits, most = record.thresholds, record.max_batch
    else:
        runtime = LoadOptions(target, precision).load(bundle.compiled.graphs(), image)
        if runtime.precision != precision:
            raise EngineError(
                f"{bundle.folder}: {target} would compute in {runtime.precision} on this machine, not in {precision} "
                "as asked"
            )
        limits, most = _limits(precision), 32
    engine = EngineEmbedder(bundle, EngineConfig(batch=most, min_height=0.0), runtime=runtime)
    here = target if record is None or target not in PLAN_TARGETS else record.target
    report = measure(
        reference or reference_embedder(bundle),
        engine,
        probe,
        batches=batch_sizes(most),
        machine=fingerprint(cast(TargetName, here)),
        reference_name=reference_name or f"{bundle.manifest.model} in fp32 on ONNX Runtime, batch 1",
        score=score,
    )
    return judge(report, widened(limits) if probe.drawn and precision == "int8" else limits)


def reference_embedder(bundle: Bundle) -> EngineEmbedder:
    """The bundle's graph as it is: fp32 on ONNX Runtime; an OpenVINO IR on OpenVINO."""
    runtime = "onnxruntime" if bundle.model.suffix.lower() == ".onnx" else "openvino"
    opened = LoadOptions(runtime, "fp32").load(bundle.compiled.graphs(), bundle.manifest.input.image())
    return EngineEmbedder(bundle, EngineConfig(min_height=0.0), runtime=opened)


def save_reports(bundle: Bundle, reports: dict[str, ParityReport]) -> bool:
    """Write parity reports of built forms into the bundle.

    Returns:
        False where the bundle may not be written; that is logged.
    """
    builds = dict(bundle.manifest.builds)
    for key, report in reports.items():
        before = builds[key].parity
        # What real crops said on this very machine is worth more than that drawn figures pass too.
        if (
            before is not None
            and before.machine == report.machine
            and report.passed
            and _drawn(report)
            and not _drawn(before)
        ):
            continue
        builds[key] = builds[key].model_copy(update={"parity": report})
    try:
        save_manifest(bundle.folder, bundle.manifest.model_copy(update={"builds": builds}))
    except EngineError as error:
        log.warning("the report was not kept: %s", error)
        return False
    return True


def _proved(draft: Bundle, record: BuildRecord, request: BuildRequest, size: tuple[int, int]) -> BuildRecord:
    """The record with its parity report, where it can run here."""
    probe = generated_probe(size) if request.probe is None else read_probe(request.probe, size)
    ahead = record.target in PLAN_TARGETS and find_gpu() is None
    if ahead:
        log.warning(
            "%s was built ahead of time; prove it on the machine that will run it: streamreid engine verify FOLDER",
            record.key,
        )
        if record.precision != "fp16" or record.graph == draft.manifest.model:
            return record  # ONNX Runtime has no bf16, and computes half Q/DQ graphs wrongly
    report = (
        _typed_graph(draft, record, probe) if ahead else verify_build(draft, record.key, probe, score=request.score)
    )
    if not report.passed and not request.keep_failed:
        raise EngineError(
            f"{record.key} is too far from its reference on {report.probe}: {'; '.join(report.failures)}. Nothing was "
            f"written; {_advice(record)}, or keep it all the same with --keep-failed"
        )
    return record if ahead else record.model_copy(update={"parity": report})


def _typed_graph(draft: Bundle, record: BuildRecord, probe: Probe) -> ParityReport:
    """The typed graph that a plan was compiled from, on the CPU: finds an overflow of fp16 before any GPU sees it. Says
    nothing of the plan."""
    image = draft.manifest.input.image()
    opened = LoadOptions("onnxruntime", "fp32").load(GraphFiles(model=draft.folder / record.graph), image)
    report = measure(
        reference_embedder(draft),
        EngineEmbedder(draft, EngineConfig(min_height=0.0), runtime=opened),
        probe,
        batches=(1, 3),
        machine=fingerprint("onnxruntime"),
        reference_name=draft.manifest.model,
    )
    return judge(report, record.thresholds)


def _drawn(report: ParityReport) -> bool:
    return report.probe.endswith("drawn figures")


def _advice(record: BuildRecord) -> str:
    if record.precision == "fp16":
        return "try --precision bf16, whose range is that of fp32"
    if record.precision == "int8":
        return "try more and more varied --calibration-crops, or --precision bf16 or fp16"
    return "try --precision fp32"


def _limits(precision: str) -> Thresholds:
    known = cast(PrecisionName, precision) if precision in get_args(PrecisionName) else "fp32"
    return default_thresholds(known)
