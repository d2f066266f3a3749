"""``streamreid evaluate reid``: how well an engine finds people again, clean and occluded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import cv2
import numpy as np
import typer
from rich.table import Table

from streamreid.cli.calibrate import refuse_existing
from streamreid.cli.console import output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.config import EngineConfig, Precision, RuntimeName
from streamreid.datasets.layouts import list_pictures, list_pictures_of
from streamreid.errors import ConfigError
from streamreid.evaluation.occluded import Embed, OccludedScores, score_engine
from streamreid.evaluation.papers.occlusion_unification import Unifier
from streamreid.evaluation.reid import PersonImages, ReidScores, person_images, read_folder
from streamreid.evaluation.reid_gaps import (
    GapScores,
    GroupScores,
    PictureTimes,
    group_tables,
    read_times,
    score_gaps,
    times_of_names,
)
from streamreid.evaluation.reid_report import reid_page
from streamreid.reid.bundle import load_bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.reid.factory import shipped_engines
from streamreid.sinks.base import atomic_text
from streamreid.types import FloatArray, Image, PartFeatures

__all__ = ["embed_pictures", "reid"]

_KINDS = {"clean": "clean", "patch": "behind a patch (a)", "person": "behind a person (b)"}


def reid(
    engine: Annotated[str, typer.Argument(help="Folder of an engine bundle, or the name of a shipped one.")],
    dataset: Annotated[Path, typer.Argument(help="Folder with query/ and bounding_box_test/ (Market-1501 names).")],
    layout: Annotated[
        str,
        typer.Option(
            help=(
                "market (also DukeMTMC-reID, Occluded-Duke, CUHK03-NP), msmt17, occluded_reid or p_dukemtmc (its test "
                "folder), where occluded pictures are the queries."
            )
        ),
    ] = "market",
    seeds: Annotated[int, typer.Option(min=1, help="Occlusion draws to average over.")] = 1,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Also score clean queries with k-reciprocal re-ranking.")
    ] = False,
    unify: Annotated[
        bool,
        typer.Option(
            "--unify",
            hidden=True,
            help=(
                "Also compare with the gallery as if it were covered like the query (bundles exported with --unified)."
            ),
        ),
    ] = False,
    sides: Annotated[bool, typer.Option("--sides", help="Also list the scores by covered side and share.")] = False,
    runtime: Annotated[str, typer.Option(help="auto, openvino or onnxruntime.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16, int8, fp16, or auto for what a run takes here.")] = "fp32",
    gaps: Annotated[
        bool,
        typer.Option(
            "--gaps",
            help=(
                "Also score by the time since people were last seen, by viewpoint and by how much of them is seen. "
                "Times come from the frames in the pictures' names, or from --times."
            ),
        ),
    ] = False,
    times: Annotated[
        Path | None,
        typer.Option(
            help=(
                "For --gaps: CSV with the columns picture and time (seconds), and if wanted sequence, viewpoint and "
                "visible (0 to 1)."
            )
        ),
    ] = None,
    fps: Annotated[float, typer.Option(min=0.1, help="For --gaps: frames per second of the frames in names.")] = 25.0,
    report: Annotated[Path | None, typer.Option(help="Also write all tables as one HTML page.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score an engine on a ReID dataset: CMC, mAP, mINP; clean queries and queries covered on one side."""
    set_up_logging()
    chosen: RuntimeName = "openvino" if runtime == "openvino" else "onnxruntime" if runtime == "onnxruntime" else "auto"
    if precision not in get_args(Precision):
        raise ConfigError(f"--precision {precision}: known are {', '.join(get_args(Precision))}")
    refuse_existing(report, overwrite=overwrite)
    if times is not None and not gaps:
        raise ConfigError("--times says when pictures were taken, for --gaps; pass --gaps, too")
    bundle = load_bundle(shipped_engines().get(engine, Path(engine)))
    form = bundle.manifest.input
    config, size = EngineConfig(runtime=chosen, precision=cast(Precision, precision)), (form.height, form.width)
    unifier = Unifier(bundle, config) if unify else None
    embedder = EngineEmbedder(bundle, config)
    embed = embed_pictures(embedder, size)
    query, gallery = _sets(dataset, layout)
    known = _times(query, gallery, times, fps) if gaps else None
    apart: list[GapScores] = []

    def see(similarity: FloatArray, own: PartFeatures) -> None:
        if known is not None:
            seen = own.visibility.mean(1) if bundle.manifest.outputs.visibility else None
            apart.append(score_gaps(similarity, query, gallery, known, seen))

    with Work("scoring"):
        found = score_engine(
            embed, query, gallery, seeds=range(seeds), reranked=rerank, unifier=unifier, size=size, see=see
        )
    by_gap = apart[0] if apart else None
    if report is not None:
        with atomic_text(report) as file:
            file.write(reid_page(embedder.name, dataset.name, found, by_gap))
    if as_json:
        more = {} if by_gap is None else {"by_group": by_gap.as_dict()}
        typer.echo(json.dumps(_as_dict(embedder, dataset, seeds, found) | more, indent=2))
        return
    _print_tables(found, by_gap, sides=sides)
    output.print(
        f"{found.parts['clean'].queries} queries, {len(gallery)} gallery pictures, {seeds} occlusion draw(s), "
        f"{embedder.runtime} in {embedder.precision}",
        highlight=False,
    )


def _print_tables(found: OccludedScores, by_gap: GapScores | None, *, sides: bool) -> None:
    output.print(_table(found, sides))
    if by_gap is not None:
        for title, rows in group_tables(by_gap):
            output.print(_group_table(title, rows))


def _sets(dataset: Path, layout: str) -> tuple[PersonImages, PersonImages]:
    """The query and the gallery pictures of a data set, by its folder names."""
    if layout == "market":
        return read_folder(dataset / "query"), read_folder(dataset / "bounding_box_test")
    if layout == "msmt17":
        folder = next((dataset / n for n in ("test", "mask_test_v2") if (dataset / n).is_dir()), dataset / "test")
        query, gallery = (
            person_images(list_pictures_of(dataset / f"list_{n}.txt", folder)) for n in ("query", "gallery")
        )
        return query, gallery
    if layout not in ("occluded_reid", "p_dukemtmc"):
        raise ConfigError(f"--layout {layout}: known are market, msmt17, occluded_reid and p_dukemtmc")
    named = list_pictures(dataset, "p_dukemtmc" if layout == "p_dukemtmc" else "occluded_reid")
    return person_images([n for n in named if n.camera == 0]), person_images([n for n in named if n.camera == 1])


def _times(
    query: PersonImages, gallery: PersonImages, table: Path | None, fps: float
) -> tuple[PictureTimes, PictureTimes]:
    """When the pictures of both sets were taken."""
    paths = (*query.paths, *gallery.paths)
    every = times_of_names(paths, fps) if table is None else read_times(table, paths)
    return every[: len(query)], every[len(query) :]


def _group_table(title: str, rows: Sequence[GroupScores]) -> Table:
    table = Table(title, "queries", "R1", "mAP", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, str(row.queries), f"{row.r1:.3f}", f"{row.map:.3f}")
    return table


def embed_pictures(embedder: EngineEmbedder, size: tuple[int, int]) -> Embed:
    """An engine as a function from pictures of people to part features.

    Args:
        embedder: The engine.
        size: Height and width of its input.
    """

    def embed(pictures: Sequence[Image]) -> PartFeatures:
        crops = np.stack([cv2.resize(p, size[::-1], interpolation=cv2.INTER_LINEAR) for p in pictures])
        return PartFeatures.concatenate([embedder.embed(crops[i : i + 32]) for i in range(0, len(crops), 32)])

    return embed


def _as_dict(engine: EngineEmbedder, dataset: Path, seeds: int, found: OccludedScores) -> dict[str, object]:
    scores = {
        distance: {kind: s.as_dict() for kind, s in group.items()}
        for distance, group in (
            ("parts", found.parts),
            ("whole", found.whole),
            ("sides", found.sides),
            ("unified", found.unified),
        )
        if group
    }
    return {
        "engine": engine.name,
        "runtime": engine.runtime,
        "precision": engine.precision,
        "dataset": dataset.name,
        "occlusion_draws": seeds,
        "scores": scores,
    }


def _table(found: OccludedScores, sides: bool) -> Table:
    table = Table("queries", "distance", "R1", "R5", "R10", "mAP", "mINP", box=None, pad_edge=False)
    for kind in found.parts:
        for name, scores in (("parts", found.parts), ("whole person", found.whole), ("unified", found.unified)):
            if kind in scores:
                table.add_row(_KINDS.get(kind, kind), name, *_cells(scores[kind]))
    for name, scores_of in found.sides.items() if sides else ():
        table.add_row(name, "parts", *_cells(scores_of))
    return table


def _cells(s: ReidScores) -> list[str]:
    return [f"{np.round(v, 3):.3f}" for v in (s.r1, s.r5, s.r10, s.map, s.minp)]
