"""Build a compiled form of a detector into a bundle, and prove that it finds the same boxes."""

from __future__ import annotations

import datetime
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from streamreid import weights
from streamreid.boxes import iou_matrix
from streamreid.compiling.build import BuildOptions, Built, build_form
from streamreid.compiling.bundle_folder import bundle_name, bundled_files, write_folder
from streamreid.compiling.machine import find_gpu, fingerprint
from streamreid.compiling.policy import open_build
from streamreid.compiling.records import PLAN_TARGETS, BuildRecord, ParityReport
from streamreid.config import DetectorConfig
from streamreid.detection.auto_detector import AUTO, auto_detector
from streamreid.detection.bundle import DetectorBundle, DetectorManifest, load_detector_bundle
from streamreid.detection.detector_trial import STORED
from streamreid.detection.dynamic_yolox import dynamic_yolox_file
from streamreid.detection.onnx_detector import OnnxDetector
from streamreid.detection.profiles import PROFILE, profile_of
from streamreid.errors import DataError, DetectorError, EngineError
from streamreid.media import PICTURE_SUFFIXES, is_picture
from streamreid.runtimes import graph_sha256
from streamreid.types import Detections, FloatArray, Frame

__all__ = ["build_detector", "compare_boxes", "detector_frames", "verify_detector"]

log = logging.getLogger(__name__)

_SAME = 0.8  # IoU of boxes that count as the same
_CALIBRATE_ON = 64
"""Frames on which ranges are measured for int8; bounds the time of a build."""


def build_detector(
    source: str,
    out: Path,
    options: BuildOptions,
    *,
    size: int = 640,
    frames: Path | None = None,
    probe: Path | None = None,
    keep_failed: bool = False,
    force: bool = False,
) -> tuple[DetectorBundle, BuildRecord]:
    """Compile a detector.

    Args:
        source: An .onnx file, a named detector, or the folder of a detector bundle.
        out: Folder to create; usable as ``detector.model``.
        options: Target, precision, batch.
        size: Longest side of the input where the graph leaves it open.
        frames: Folder of real pictures to measure int8's ranges on.
        probe: Folder of real pictures to compare boxes on; drawn scenes by default.
        keep_failed: Write it even if it misses its thresholds.
        force: Replace an existing bundle.

    Raises:
        DetectorError: Not a known detector.
        EngineError: It cannot be built, is not in the precision asked for, or is too far from the reference.
        DataError: No pictures to calibrate or to compare on.
    """
    manifest, files = _source(source)
    model = files[manifest.model]
    known = {PROFILE: manifest.metadata[PROFILE]} if PROFILE in manifest.metadata else {}
    config = DetectorConfig(runtime="onnxruntime", precision="fp32", size=size)
    reference = OnnxDetector(model, config, metadata=known)
    options = replace(options, size=_plan_size(reference, size))

    def inputs() -> tuple[FloatArray, str]:
        if frames is None:
            raise EngineError(
                "int8 needs real pictures to measure its ranges on; pass --calibration-crops FOLDER (of whole frames)"
            )
        pictures = detector_frames(frames, most=_CALIBRATE_ON)
        return reference.prepare(pictures), f"{len(pictures)} pictures of {frames.name}"

    with tempfile.TemporaryDirectory() as scratch:
        built = build_form(model, graph_sha256(model), options, Path(scratch), inputs=inputs)
        files = files | {manifest.model: model} | built.files
        manifest = _with_form(manifest, built, reference)
        write_folder(Path(scratch) / "draft", manifest, files)
        record = _proven(built.record, Path(scratch) / "draft", out, probe, keep_failed=keep_failed)
        builds = manifest.builds | {record.key: record}
        write_folder(out, manifest.model_copy(update={"builds": builds}), files, force=force)
    return load_detector_bundle(out), record


def _with_form(manifest: DetectorManifest, built: Built, reference: OnnxDetector) -> DetectorManifest:
    """The bundle's list of what is in it, with one form more (or anew, as the last)."""
    record = built.record
    return manifest.model_copy(
        update={
            "variants": manifest.variants | ({built.variant: record.graph} if built.variant else {}),
            "builds": {k: r for k, r in manifest.builds.items() if k != record.key} | {record.key: record},
            "metadata": {**reference.metadata, STORED: reference.decision.text()},
        }
    )


def _proven(record: BuildRecord, draft: Path, out: Path, probe: Path | None, *, keep_failed: bool) -> BuildRecord:
    """The record with what comparing it with the reference gave, where this machine can run it.

    Raises:
        EngineError: It is too far from the reference, and is not to be kept all the same.
    """
    if record.target in PLAN_TARGETS and find_gpu() is None:
        log.warning(
            "%s was built ahead of time; prove it on the machine that will run it: streamreid engine verify %s",
            record.key,
            out,
        )
        return record
    report = verify_detector(load_detector_bundle(draft), record.key, probe)
    if not report.passed and not keep_failed:
        raise EngineError(
            f"{record.key} does not find the reference's boxes on {report.probe}: {'; '.join(report.failures)}. "
            "Nothing was written; try another precision, or keep it all the same with --keep-failed"
        )
    return record.model_copy(update={"parity": report})


def verify_detector(bundle: DetectorBundle, key: str, probe: Path | None = None) -> ParityReport:
    """Compare one compiled form with the reference, in batches of several sizes.

    Args:
        bundle: The bundle.
        key: "target/precision" of a form that was built.
        probe: Folder of pictures; drawn scenes by default.

    Raises:
        EngineError: No such form, or it does not run here.
        DataError: No pictures in that folder.
    """
    record = bundle.manifest.builds.get(key)
    if record is None:
        raise EngineError(f"{bundle.folder}: holds no '{key}'; it holds: {', '.join(bundle.manifest.builds) or 'none'}")
    size = max(record.size or (640, 640))
    frames = _drawn() if probe is None else detector_frames(probe)
    config = DetectorConfig(runtime="onnxruntime", precision="fp32", size=size, batch=1, confidence=0.25)
    # A plan takes pictures of one size only: the reference must see the same ones.
    fixed = record.size[::-1] if record.size and record.target in PLAN_TARGETS else None
    known = {k: v for k, v in bundle.manifest.metadata.items() if k == PROFILE}
    reference = OnnxDetector(bundle.model, config, metadata=known, fixed=fixed)
    wanted = [reference.raw([f]) for f in frames]
    boxes = reference(frames)
    sizes = tuple(sorted({1, 2, 3, record.max_batch, record.max_batch + 1}))
    agreements, cosines = {}, {}
    for batch in sizes:
        engine = OnnxDetector(
            bundle.model,
            config.model_copy(update={"batch": batch}),
            opener=lambda image: open_build(bundle.compiled, key, image=image),
            metadata=bundle.manifest.metadata,
            fixed=fixed,
        )
        agreements[batch] = compare_boxes(boxes, engine(frames))
        found = engine.raw(frames)
        cosines[batch] = [_cosine(w[0], f) for w, f in zip(wanted, found, strict=True)]
    worst = min(sizes, key=lambda b: (agreements[b], min(cosines[b])))
    report = ParityReport(
        probe=(
            f"{len(frames)} {'drawn scenes' if probe is None else f'pictures of {probe.name}'} with "
            f"{sum(map(len, boxes))} boxes"
        ),
        count=len(frames),
        batches=sizes,
        worst_batch=worst,
        cosine_median=(round(min(float(np.median(c)) for c in cosines.values()), 6),),
        cosine_p01=(round(min(float(np.percentile(c, 1)) for c in cosines.values()), 6),),
        matched_boxes=round(min(agreements.values()), 6) if sum(map(len, boxes)) else None,
        machine=fingerprint(record.target),
        reference=f"{bundle.manifest.model} in fp32 on ONNX Runtime, batch 1",
        created=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    )
    return _judged(report, record)


def compare_boxes(wanted: Sequence[Detections], found: Sequence[Detections]) -> float:
    """F1 of the boxes of two detectors: each box may match one of IoU 0.8 or more. 1 where both find nothing."""
    hits = total = 0
    for a, b in zip(wanted, found, strict=True):
        total += len(a) + len(b)
        overlap = iou_matrix(a.boxes, b.boxes)
        while overlap.size and overlap.max() >= _SAME:
            row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
            overlap[row, :] = -1.0
            overlap[:, column] = -1.0
            hits += 2
    return hits / total if total else 1.0


def detector_frames(folder: Path, *, most: int = 48) -> list[Frame]:
    """Pictures of a folder (and its subfolders) as frames, evenly chosen.

    Raises:
        DataError: No such folder, or no readable picture in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of pictures")
    paths = sorted(p for p in folder.rglob("*") if is_picture(p))
    paths = (
        [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int))]
        if paths
        else []
    )
    images = [image for image in (cv2.imread(str(p), cv2.IMREAD_COLOR) for p in paths) if image is not None]
    if not images:
        raise DataError(f"{folder}: no readable picture in it ({', '.join(sorted(PICTURE_SUFFIXES))})")
    return [Frame("probe", n, 0.0, np.asarray(image, np.uint8)) for n, image in enumerate(images)]


def _source(source: str) -> tuple[DetectorManifest, dict[str, Path]]:
    """The manifest to extend, and the files it names."""
    path = Path(source).expanduser()
    if path.is_dir():
        bundle = load_detector_bundle(path)
        return bundle.manifest, {name: bundle.folder / name for name in bundle.manifest.files}
    if path.suffix.lower() == ".pt":
        raise DetectorError(
            f"{path}: export it to ONNX first: yolo export model={path} format=onnx dynamic=True, then build from the "
            ".onnx"
        )
    licence = "unknown"
    if not path.is_file():
        path = auto_detector() if source == AUTO else weights.get(source)
        licence = next(w.licence for w in weights.REGISTRY if w.filename == path.name)
    from streamreid._version import __version__

    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    profile = profile_of(path, {})
    dynamic = dynamic_yolox_file(path)
    return DetectorManifest(
        name=bundle_name(None, path.stem),
        licence=licence,
        metadata={} if profile is None else {PROFILE: profile.name},
        created=today,
        version=__version__,
    ), bundled_files(path if dynamic is None else dynamic[0])


def _plan_size(reference: OnnxDetector, size: int) -> tuple[int, int]:
    """A square of the next multiple of the network's stride."""
    side = -(-size // reference.stride) * reference.stride
    return side, side


def _judged(report: ParityReport, record: BuildRecord) -> ParityReport:
    limits, failures = record.thresholds, []
    if (
        limits.matched_boxes is not None
        and report.matched_boxes is not None
        and report.matched_boxes < limits.matched_boxes
    ):
        failures.append(
            f"agreement of boxes is {report.matched_boxes:.4f}, below {limits.matched_boxes:g} (batch "
            f"{report.worst_batch})"
        )
    lowest = min(report.cosine_median)
    if limits.cosine_median is not None and not lowest >= limits.cosine_median:
        failures.append(
            f"median cosine of the raw outputs is {lowest:.4f}, below {limits.cosine_median:g} (batch "
            f"{report.worst_batch})"
        )
    return report.model_copy(update={"failures": tuple(failures)})


def _drawn(count: int = 6) -> list[Frame]:
    """Scenes of coloured figures: enough to find a wrong compilation, not to measure accuracy."""
    rng = np.random.default_rng(11)
    frames = []
    for number in range(count):
        noise = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
        image = np.asarray(
            cv2.GaussianBlur(cv2.resize(noise, (640, 360), interpolation=cv2.INTER_CUBIC), (0, 0), 5), np.uint8
        )
        for _ in range(5):
            x, y, h = int(rng.integers(40, 600)), int(rng.integers(20, 180)), int(rng.integers(80, 160))
            colours = [[int(v) for v in rng.integers(0, 256, 3)] for _ in range(3)]
            cv2.rectangle(image, (x - h // 8, y + h // 5), (x + h // 8, y + h * 3 // 5), colours[0], -1)
            for side in (-1, 1):
                cv2.line(
                    image,
                    (x + side * h // 14, y + h * 3 // 5),
                    (x + side * h // 12, y + h),
                    colours[1],
                    max(4, h // 10),
                )
            cv2.circle(image, (x, y + h // 10), max(3, h // 11), colours[2], -1)
        frames.append(Frame("probe", number, 0.0, image))
    return frames


def _cosine(a: FloatArray, b: FloatArray) -> float:
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    value = float(x @ y / max(1e-12, float(np.linalg.norm(x) * np.linalg.norm(y)))) if x.shape == y.shape else 0.0
    return value if np.isfinite(value) else 0.0
