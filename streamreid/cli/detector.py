"""``streamreid detector bench`` and ``verify``: which detector finds the people on your own clips, and at what cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from streamreid import weights
from streamreid._yaml import validate
from streamreid.cli.console import errors, output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.config import DetectorConfig, TrackerConfig
from streamreid.detection import open_detector
from streamreid.detection.auto_detector import ALTERNATIVE, PREFERRED
from streamreid.errors import DetectorError, StreamReIDError, WeightsError
from streamreid.files import atomic_write
from streamreid.runs import detector_bench
from streamreid.runs.detector_bench import Clip, DetectorScore, People

__all__ = ["app"]

app = typer.Typer(
    help="Detectors: which of them finds the people in your own clips, and what it costs.", no_args_is_help=True
)

_REFERENCE_SIZE = 1280
"""Longest side of the reference detector's input in pixels: twice the usual one, which small people need."""

Clips = Annotated[list[Path], typer.Argument(help="Videos, folders of videos, or folders of pictures.")]
Truth = Annotated[
    Path | None,
    typer.Option(help="Ground truth: a MOT text file, or a folder of them, named as the clips. Else a reference."),
]
Reference = Annotated[
    str | None,
    typer.Option(help="Detector that says who is there; by default yolo11n, or else person-nano, at 1280 pixels."),
]
Every = Annotated[float, typer.Option(min=0, help="Seconds between two frames that are looked at.")]
Frames = Annotated[int, typer.Option(min=1, help="Frames of each clip at most.")]
Fps = Annotated[
    float | None,
    typer.Option(min=0.01, max=1000, help="Frames per second of folders of pictures, which have no time stamps."),
]


@app.command("bench")
def bench(
    clips: Clips,
    detector: Annotated[
        list[str] | None,
        typer.Option("--detector", help="A detector to try, as in detector.model; the named ones here by default."),
    ] = None,
    truth: Truth = None,
    reference: Reference = None,
    every: Every = 1.0,
    frames: Frames = 60,
    fps: Fps = None,
    size: Annotated[str, typer.Option(help="detector.size: pixels, or auto.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Recall, precision and time of detectors on clips, and which to take for these cameras."""
    set_up_logging(quiet=True)
    scores: list[DetectorScore] = []
    left_out: dict[str, str] = {}
    with Work("reading clips") as work:
        sample, people, who = _prepare(clips, truth, reference, every, frames, fps, work)
        for name in detector or _here():
            work.step(f"trying {name}", sum(len(c.frames) for c in sample))
            try:
                scores.append(_score(name, size, sample, people, work))
            except (DetectorError, WeightsError) as error:
                left_out[name] = str(error)
    if not scores:
        raise DetectorError("; ".join(left_out.values()) or "no detector is on this machine; name one with --detector")
    best = detector_bench.best_choice(scores)
    if as_json:
        rows = [asdict(score) | {"f1": score.f1} for score in scores]
        typer.echo(
            json.dumps({"against": who, "detectors": rows, "take": best.detector, "left_out": left_out}, indent=2)
        )
        return
    output.print(_table(scores))
    output.print(
        f"against {who}, {best.people} people in {best.frames} frames; recall and precision at a score of "
        f"{TrackerConfig().high_score:g}, from which the tracker counts somebody",
        soft_wrap=True,
    )
    if not best.people:
        output.print("nobody is in these frames, so nothing can be said; take clips with people", soft_wrap=True)
    else:
        output.print(
            f"take {best.detector} for these cameras: the cheapest of those that are level with the best "
            f"(detector: {{model: {best.detector}}})",
            soft_wrap=True,
        )
    for name, reason in left_out.items():
        errors.print(f"{name} left out: {reason}", markup=False, highlight=False, soft_wrap=True)


@app.command("verify")
def verify(
    clips: Clips,
    detector: Annotated[str, typer.Option("--detector", help="The detector, as in detector.model.")] = "auto",
    truth: Truth = None,
    reference: Reference = None,
    every: Every = 1.0,
    frames: Frames = 60,
    fps: Fps = None,
    size: Annotated[str, typer.Option(help="detector.size: pixels, or auto.")] = "auto",
    recall: Annotated[float, typer.Option(min=0, max=1, help="Least recall.")] = 0.5,
    precision: Annotated[float, typer.Option(min=0, max=1, help="Least precision.")] = 0.5,
) -> None:
    """Refuse (exit code 2) a detector that misses people in these clips or finds them where nobody is."""
    set_up_logging(quiet=True)
    with Work("reading clips") as work:
        sample, people, who = _prepare(clips, truth, reference, every, frames, fps, work)
        work.step(f"trying {detector}", sum(len(c.frames) for c in sample))
        score = _score(detector, size, sample, people, work)
    if not score.people:
        raise DetectorError(
            f"{who}: nobody is in these {score.frames} frames, so '{detector}' cannot be judged; take clips with people"
        )
    text = (
        f"{detector}: recall {score.recall_at:.2f}, precision {score.precision_at:.2f} at a score of "
        f"{TrackerConfig().high_score:g}, against {who} ({score.people} people in {score.frames} frames)"
    )
    failures = [
        f"{what} is below {least:g}"
        for what, value, least in (("recall", score.recall_at, recall), ("precision", score.precision_at, precision))
        if value < least
    ]
    if failures:
        raise DetectorError(
            f"{text}: {' and '.join(failures)}. Best is F1 {score.f1:.2f} at a score of {score.confidence:.2f}; see "
            "`streamreid detector bench` for others, or raise detector.size"
        )
    output.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command("one-class")
def cut(
    model: Annotated[Path, typer.Argument(help="A YOLOX .onnx file as its exporter writes it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file to write.")],
    number: Annotated[int, typer.Option("--class", min=0, help="The class that stays; 0 is COCO's person.")] = 0,
) -> None:
    """Cut a YOLOX detector down to one class, with weights stored as float16: the same boxes, half the bytes."""
    set_up_logging(quiet=True)
    from streamreid.detection.one_class import one_class

    if not model.is_file():
        raise DetectorError(f"detector {model}: no such file")
    written = one_class(model, number)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out, part=out.with_name(f".{out.name}.part")) as part:
        part.write_bytes(written)
    output.print(f"{out}: {len(written):,} bytes", markup=False, highlight=False, soft_wrap=True)


def _prepare(
    paths: list[Path],
    truth: Path | None,
    reference: str | None,
    every: float,
    frames: int,
    fps: float | None,
    work: Work,
) -> tuple[list[Clip], dict[tuple[str, int], People], str]:
    """The frames, who is in them, and who says so."""
    clips = detector_bench.read_clips(paths, every=every, most=frames, fps=fps)
    if truth is not None:
        return clips, detector_bench.true_people(clips, truth), f"ground truth in {truth}"
    name = reference or next((n for n in (ALTERNATIVE, PREFERRED) if _is_here(n)), PREFERRED)
    if reference is None and name == PREFERRED:
        errors.print(
            f"{ALTERNATIVE} is not on this machine, so {PREFERRED} itself says who is there, and looks better than it "
            f"is: fetch it (streamreid weights fetch {ALTERNATIVE}), or give --reference or --truth",
            highlight=False,
            soft_wrap=True,
        )
    work.step(f"asking {name} at {_REFERENCE_SIZE} pixels who is there")
    stronger = open_detector(DetectorConfig(model=name, size=_REFERENCE_SIZE))
    return clips, detector_bench.reference_people(clips, stronger), f"{name} at {_REFERENCE_SIZE} pixels"


def _score(name: str, size: str, clips: list[Clip], people: dict[tuple[str, int], People], work: Work) -> DetectorScore:
    given = {"model": name, "size": int(size) if size.isdigit() else size}
    config = validate(DetectorConfig, given, where=f"detector '{name}'")
    return detector_bench.measure(config, clips, people, high_score=TrackerConfig().high_score, step=work.advance)


def _here() -> list[str]:
    """Named detectors that are on this machine."""
    return [name for name in (PREFERRED, ALTERNATIVE) if _is_here(name)]


def _is_here(name: str) -> bool:
    try:
        return weights.find(name) is not None
    except StreamReIDError:
        return False


def _table(scores: list[DetectorScore]) -> Table:
    table = Table("detector", "recall", "precision", "best F1", "at", "ms/frame", "CPU ms", box=None, pad_edge=False)
    for s in scores:
        table.add_row(
            s.detector,
            f"{s.recall_at:.3f}",
            f"{s.precision_at:.3f}",
            f"{s.f1:.3f}",
            f"{s.confidence:.2f}",
            f"{s.milliseconds:.1f}",
            f"{s.processor_milliseconds:.1f}",
        )
    return table
