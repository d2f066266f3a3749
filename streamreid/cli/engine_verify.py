"""``streamreid engine verify`` and ``bench``: is the compiled engine the trained model, and how fast is it here."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from streamreid.cli.build_engine import score_probe
from streamreid.cli.console import errors, output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.compiling.bundle_folder import MANIFEST
from streamreid.compiling.machine import differences, fingerprint
from streamreid.compiling.policy import LoadOptions, open_build, open_graph
from streamreid.compiling.records import BuildRecord, ParityReport
from streamreid.config import EngineConfig
from streamreid.detection.bundle import load_detector_bundle
from streamreid.detection.detector_build import verify_detector
from streamreid.errors import ConfigError, EngineError
from streamreid.reid.bundle import Bundle, load_bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.reid.engine_build import save_reports, verify_build
from streamreid.reid.factory import shipped_engines
from streamreid.reid.parity import Embeds
from streamreid.reid.probe_set import generated_probe, read_probe
from streamreid.runtimes import remeasure
from streamreid.types import PartFeatures

__all__ = ["bench", "differences_here", "is_detector", "verify"]

_RUNTIMES = ("onnxruntime", "openvino")


def verify(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or the name of a shipped engine.")],
    probe: Annotated[
        Path | None,
        typer.Option(help="Folder of real pictures; Market-1501 names also give R1 and mAP. Drawn figures by default."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="target/precision, for example openvino/int8; all that were built by default."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Compare with this trained network on torch instead of the ONNX graph.")
    ] = None,
    most: Annotated[int, typer.Option(min=4, max=10000, help="Most pictures of the folder to use.")] = 256,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Write the reports into the bundle.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
) -> None:
    """Run the same crops through the reference and the engine on this machine; exit code 2 if they differ by more than
    the bundle allows."""
    set_up_logging()
    folder = shipped_engines().get(bundle, Path(bundle))
    if is_detector(folder):
        detector = load_detector_bundle(folder)
        with Work("comparing"):
            reports = {key: verify_detector(detector, key, probe) for key in only or list(detector.manifest.builds)}
        if not reports:
            raise EngineError(f"{folder}: nothing was built into it; see streamreid build-engine --kind detector")
        _tell(folder, reports, as_json)
        return
    loaded = load_bundle(folder)
    keys = only or list(loaded.manifest.builds) or [_automatic(loaded)]
    for key in keys:
        if key.count("/") != 1:
            raise ConfigError(f"--only {key}: expected target/precision, for example openvino/int8")
    size = (loaded.manifest.input.height, loaded.manifest.input.width)
    crops = generated_probe(size) if probe is None else read_probe(probe, size, most=most)
    reference, name = (
        (None, "") if checkpoint is None else (_network(checkpoint), f"{checkpoint.name} on torch, fp32, batch 1")
    )
    reports = {}
    with Work("comparing", total=len(keys)) as work:
        for key in keys:
            for difference in differences_here(loaded.manifest.builds.get(key)):
                errors.print(f"{key}: {difference}", markup=False, highlight=False, soft_wrap=True)
            reports[key] = verify_build(loaded, key, crops, reference=reference, reference_name=name, score=score_probe)
            work.advance()
    built = {k: r for k, r in reports.items() if k in loaded.manifest.builds}
    if keep and built:
        save_reports(loaded, built)
    _tell(folder, reports, as_json)


def bench(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or the name of a shipped engine.")],
    batches: Annotated[str, typer.Option(help="Sizes of batch, separated by commas.")] = "1,8,32",
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="How long to run each.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Time every form of the engine that runs here: crops per second, pictures in, features out."""
    set_up_logging(quiet=True)
    loaded = load_bundle(shipped_engines().get(bundle, Path(bundle)))
    try:
        sizes = [int(b) for b in batches.split(",")]
    except ValueError:
        raise ConfigError(f"--batches {batches}: expected whole numbers separated by commas") from None
    if not sizes or min(sizes) < 1:
        raise ConfigError(f"--batches {batches}: expected numbers from 1")
    with Work("timing") as work:
        rows, left_out = _times(loaded, sizes, seconds, work)
        work.step("choosing what auto takes")
        auto = remeasure(loaded.compiled.graphs(), image=loaded.manifest.input.image())
    if as_json:
        typer.echo(
            json.dumps(
                {"bundle": loaded.manifest.name, "crops_per_second": rows, "auto": auto, "left_out": left_out}, indent=2
            )
        )
        return
    table = Table("engine", *(f"batch {size}" for size in sizes), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(str, row.values()))
    output.print(table)
    output.print("crops per second, median of runs")
    if auto:
        output.print(f"auto takes {auto} on this machine from now on", soft_wrap=True)
    for key, reason in left_out.items():
        errors.print(f"{key} does not run here: {reason}", markup=False, highlight=False, soft_wrap=True)


def _times(loaded: Bundle, sizes: list[int], seconds: float, work: Work) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Crops per second of every form by size of batch, and why the others do not run here."""
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    own = loaded.manifest.builds
    forms = [*(f"{r}/{p}" for r in _RUNTIMES for p in ("fp32", "bf16") if f"{r}/{p}" not in own), *own]
    work.step("timing", len(forms))
    for key in forms:
        work.note(key)
        try:
            engine = _engine(loaded, key, max(sizes))
            rows.append({"engine": key, **{str(size): round(_rate(engine, size, seconds), 1) for size in sizes}})
        except EngineError as error:
            left_out[key] = str(error)
        work.advance()
    return rows, left_out


def is_detector(folder: Path) -> bool:
    """Whether a bundle holds a detector."""
    try:
        return bool(json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("kind") == "detector")
    except (OSError, ValueError, AttributeError):
        return False


def differences_here(record: BuildRecord | None) -> list[str]:
    """In what this machine differs from the one a form was built on; a reason if it cannot run here at all."""
    if record is None:
        return []
    try:
        return differences(record.fingerprint, fingerprint(record.target))
    except EngineError as error:
        return [str(error)]


_ROWS: tuple[tuple[str, Callable[[ParityReport], str]], ...] = (
    ("median cosine (lowest part)", lambda r: _low(r.cosine_median)),
    ("1st percentile (lowest part)", lambda r: _low(r.cosine_p01)),
    ("visibility off by (99 %)", lambda r: _number(r.visibility_error)),
    ("same nearest ten", lambda r: _number(r.rank_agreement)),
    ("R1", lambda r: _change(r.r1)),
    ("mAP", lambda r: _change(r.map)),
    ("same boxes (F1)", lambda r: _number(r.matched_boxes)),
    ("worst batch", lambda r: str(r.worst_batch)),
    ("verdict", lambda r: "passed" if r.passed else "REFUSED"),
)


def _tell(folder: Path, reports: dict[str, ParityReport], as_json: bool) -> None:
    if as_json:
        typer.echo(
            json.dumps({key: r.model_dump(mode="json") | {"passed": r.passed} for key, r in reports.items()}, indent=2)
        )
    else:
        table = Table("", *reports, box=None, pad_edge=False)
        for label, show in _ROWS:
            cells = [show(r) for r in reports.values()]
            if any(cell != "-" for cell in cells):
                table.add_row(label, *cells)
        output.print(table)
        first = next(iter(reports.values()))
        output.print(
            f"worst of batches {', '.join(map(str, first.batches))}; {first.probe}", highlight=False, soft_wrap=True
        )
        output.print(f"against {first.reference}", highlight=False, soft_wrap=True)
    failed = {key: r for key, r in reports.items() if not r.passed}
    if failed:
        raise EngineError(
            f"{folder} is refused: " + ". ".join(f"{key}: {'; '.join(r.failures)}" for key, r in failed.items())
        )


def _low(values: Sequence[float]) -> str:
    return f"{min(values):.4f}" if values else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _change(pair: tuple[float, float] | None) -> str:
    return "-" if pair is None else f"{pair[0]:.4f} -> {pair[1]:.4f}"


def _automatic(bundle: Bundle) -> str:
    """What 'auto' takes here, of a bundle into which nothing was built."""
    opened = open_graph(bundle.compiled, LoadOptions.of(EngineConfig()), image=bundle.manifest.input.image())
    return f"{opened.name}/{opened.precision}"


def _engine(bundle: Bundle, key: str, batch: int) -> EngineEmbedder:
    image = bundle.manifest.input.image()
    target, _, precision = key.partition("/")
    if key in bundle.manifest.builds:
        opened = open_build(bundle.compiled, key, image=image)
    else:
        opened = LoadOptions(target, precision).load(bundle.compiled.graphs(), image)
        if opened.precision != precision:
            raise EngineError(f"{target} computes in {opened.precision} on this machine, not in {precision}")
    return EngineEmbedder(bundle, EngineConfig(batch=batch, min_height=0.0), runtime=opened)


def _rate(engine: EngineEmbedder, size: int, seconds: float) -> float:
    crops = np.random.default_rng(0).integers(0, 256, (size, *engine.size, 3), dtype=np.uint8)
    for _ in range(2):
        engine.embed(crops)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        engine.embed(crops)
        times.append(time.perf_counter() - began)
    return size / statistics.median(times)


def _network(checkpoint: Path) -> Embeds:
    """A trained network on torch, as the thing to be equal to."""
    from streamreid.training.requirements import need_torch

    need_torch("Comparing with a checkpoint")
    from streamreid.training.embed import embed
    from streamreid.training.loop import load_network

    network = load_network(checkpoint)[0]

    class Trained:
        def embed(self, crops: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> PartFeatures:
            features: PartFeatures = embed(network, list(crops), (crops.shape[1], crops.shape[2]), batch=1)
            return features

    return Trained()
