"""The ablation table of the part network, row by row, on whatever device there is.

Every row is trained from the same start with the same number of steps, then scored on people never trained on, clean
and occluded by (a) background patches and (b) other people. Finished rows are kept, an interrupted row goes on, so the
script can be stopped and started as often as one likes.

    python benchmarks/ablation.py REID_DATA LABELS RETAIL_0277.xml --out runs/ablation python benchmarks/ablation.py
    REID_DATA LABELS RETAIL_0277.xml --out runs/ablation --steps 1500 --workers 12       # with a GPU python
    benchmarks/ablation.py REID_DATA LABELS RETAIL_0277.xml --out runs/kept --kept                              # fixed
    augmentation, a quarter of the work python benchmarks/ablation.py REID_DATA LABELS RETAIL_0277.xml --out runs/frozen
    --frozen                          # heads alone, the backbone as it was python benchmarks/ablation.py REID_DATA
    LABELS RETAIL_0277.xml --out runs/ablation --rows cuhk03-only cuhk01-only --shares .15 .3 .5 1 python
    benchmarks/ablation.py REID_DATA LABELS RETAIL_0277.xml --out runs/ablation --table                         # what
    there is so far

The third computes the frozen first stage once, for one picture per person and camera and two occluded copies of each,
and trains all that lies behind it on these. The fourth leaves the whole backbone as it was: what would train it (mask
losses, and whatever else flows back that far) does not show there. The fifth also scores the networks with shares of
the base weights (`streamreid export --base`) on the dataset they were not trained on; with share 1 the whole person is
the base itself.

REID_DATA holds cuhk03/ and cuhk01/ (Market-1501 names), LABELS what `streamreid parse-labels` wrote for each.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from _frozen import remember, train_kept
from _results import add_json, save_asked

from streamreid.evaluation.occluded import score_engine
from streamreid.evaluation.reid import read_folder
from streamreid.training.checkpoint import load_network
from streamreid.training.embed import embed, embed_variants, grade_scores
from streamreid.training.loop import train
from streamreid.training.network import PartNetwork
from streamreid.training.recipe import TrainConfig
from streamreid.training.weight_interpolation import blend
from streamreid.types import Image, IntArray, PartFeatures

DATASETS = ("cuhk03", "cuhk01")


class Row(NamedTuple):
    """What is changed, and what it tells about."""

    group: str
    title: str
    changes: dict[str, Any]
    datasets: tuple[str, ...] = ("cuhk03", "cuhk01")


ROWS: dict[str, Row] = {
    "full": Row("", "as shipped", {}),
    "no-pixels": Row(
        "PAB-ReID", "no attention supervision", {"losses": {"pixels": 0.0}, "network": {"attention": "joint"}}
    ),
    "no-part-triplet": Row("PAB-ReID", "no part triplet", {"losses": {"part_triplet": 0.0}}),
    "focuser-maps": Row("PAB-ReID", "with the focuser on maps", {"network": {"focuser": "maps"}}),
    "no-occlusion": Row(
        "OAMN", "no occluded copies (twice the pictures)", {"augmentation": {"copies": 0}, "schedule": {"pictures": 4}}
    ),
    "no-mask-losses": Row("OAMN", "no mask losses", {"losses": {"mask": 0.0, "agreement": 0.0}}),
    "rgas-grader": Row("OAMN", "with RGA-S mask and grader", {"network": {"mask": "rgas", "grader": True}}),
    "cuhk03-only": Row("people from elsewhere", "trained on cuhk03 alone", {}, ("cuhk03",)),
    "cuhk01-only": Row("people from elsewhere", "trained on cuhk01 alone", {}, ("cuhk01",)),
    "rgas-no-mask-losses": Row(
        "OAMN",
        "with RGA-S mask and grader, no mask losses",
        {"network": {"mask": "rgas", "grader": True}, "losses": {"mask": 0.0, "agreement": 0.0}},
    ),
    "grader": Row("OAMN", "with grader alone", {"network": {"grader": True}}),
    "grader-map": Row("OAMN", "with a grader of the part maps", {"network": {"grader": True, "grader_sees": "map"}}),
    "individual": Row("PAB-ReID", "part triplet of each part", {"losses": {"triplet_mode": "individual"}}),
    "head": Row("PAB-ReID", "part triplet with a heavier head", {"losses": {"triplet_mode": "head"}}),
    "joint": Row("PAB-ReID", "attention also trained by ReID losses", {"network": {"attention": "joint"}}),
    "linear": Row("PAB-ReID", "predictor without context (BPBReID's)", {"network": {"predictor": "linear"}}),
    "focuser-features": Row(
        "PAB-ReID", "with the focuser on features", {"network": {"focuser": "features", "focuser_width": 128}}
    ),
    "grouped": Row("OAMN", "with the grouped triplet", {"losses": {"grouped_triplet": 0.5}}),
    "light-whole": Row(
        "ours", "half the losses of the whole person", {"losses": {"identity_whole": 0.5, "whole_triplet": 0.5}}
    ),
    "teacher": Row("ours", "with the base as teacher", {"teacher": "RETAIL"}),
    "imitation": Row(
        "ours",
        "the whole person imitates the base",
        {
            "teacher": "RETAIL",
            "losses": {"teacher": 0.0, "imitation": 3.0, "identity_whole": 0.0, "whole_triplet": 0.0},
        },
    ),
    "worse-cameras": Row("ours", "random scale and coarse pictures", {"augmentation": {"zoom": 0.12, "quality": 0.4}}),
}


def recipe(name: str, o: argparse.Namespace) -> TrainConfig:
    """The training of one row."""
    row = ROWS[name]
    held = {"cuhk03": {"exclude": [540, 573], "validation": 40}, "cuhk01": {"validation": 20}}
    data: dict[str, Any] = {
        "data": [
            {"images": f"{o.data}/{d}/bounding_box_train", "labels": f"{o.labels}/{d}", **held[d]} for d in row.datasets
        ],
        "network": {
            "backbone": str(o.retail),
            "freeze": o.freeze,
            "predictor": "context",
            "attention": "supervised",
            "visibility": "area",
        },
        "losses": {"pixels": 1.0, "pixel_smoothing": 0.02},
        "schedule": {"steps": o.steps, "average": 0.97 if o.steps < 300 else 0.995, "warmup": 0.05},
        "out": str(o.out / name),
        "cache": str(o.out / "cache"),
        "workers": o.workers,
        "save_every": 20 if o.steps < 300 else 200,
        "validate_every": 10**9,
        "seed": o.seed,
    }
    for key, value in copy.deepcopy(row.changes).items():
        data[key] = (
            {**data.get(key, {}), **value} if isinstance(value, dict) else str(o.retail) if value == "RETAIL" else value
        )
    return TrainConfig.model_validate(data)


class TorchUnifier:
    """Occlusion unification by a network that was not exported."""

    def __init__(self, network: PartNetwork, size: tuple[int, int]) -> None:
        self.network, self.size = network, size

    def grades(self, queries: Sequence[Image]) -> IntArray:
        """See `streamreid.evaluation.papers.occlusion_unification.Unifies`."""
        from streamreid.evaluation.papers.occlusion_unification import grade

        return grade(grade_scores(self.network, queries, self.size))

    def variants(self, gallery: Sequence[Image]) -> list[PartFeatures]:
        """See `streamreid.evaluation.papers.occlusion_unification.Unifies`."""
        return embed_variants(self.network, gallery, self.size)


def needs_pictures(row: Row) -> bool:
    """Whether a row cannot be trained on kept maps: a teacher looks at pictures, and other augmentation makes other
    maps."""
    return "teacher" in row.changes or bool(set(row.changes.get("augmentation", {})) - {"copies"})


def run(name: str, o: argparse.Namespace) -> None:
    """Train and score one row, unless it is done."""
    result = o.out / name / "scores.json"
    if result.exists():
        return
    config, began = recipe(name, o), time.time()

    def tell(numbers: dict[str, Any]) -> None:
        if numbers["step"] % 25 == 0:
            print(
                f"{name} {numbers['step']}/{o.steps} loss {numbers['loss']:.2f} {numbers['seconds']:.2f} s", flush=True
            )

    if o.kept:
        (o.out / name).mkdir(parents=True, exist_ok=True)
        trained = train_kept(config, o.out / "cache", frozen(o))
        state = {"step": o.steps, "config": config.model_dump_json(), "average": {"state": trained.state_dict()}}
        torch.save(state, o.out / name / "last.pt")
    else:
        train(config, None, tell)
    network = load(name, o)
    # OAMN's masks look at eight covered copies of every gallery picture: too much for maps that are computed one by
    # one.
    unified = network.grader is not None and not (o.kept and network.masker is not None)
    unifier = TorchUnifier(network, config.size) if unified else None
    scores: dict[str, Any] = {"steps": o.steps, "seed": o.seed, "seconds": round(time.time() - began)}
    for dataset in DATASETS:
        scores[dataset] = score(network, config, dataset, o, unifier)
    keep(result, scores)
    print(table(o), flush=True)


def load(name: str, o: argparse.Namespace, share: float = 0.0) -> PartNetwork:
    """A row's network as it was trained, with a share of the base weights."""
    network, config, _ = load_network(o.out / name / "last.pt")
    if share:
        network = blend(network, config, share)
    if o.kept:
        remember(network, o.out / "cache", frozen(o))
    return network.to("cuda" if torch.cuda.is_available() and not o.kept else "cpu")


def frozen(o: argparse.Namespace) -> int | None:
    """Where kept maps come from: see `_frozen.split_backbone`."""
    return None if o.frozen else int(o.freeze)


def run_shares(name: str, o: argparse.Namespace) -> None:
    """Score a row that is done with shares of the base weights, on the dataset it was not trained on."""
    result = o.out / name / "shares.json"
    shares: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {}
    for share in o.shares:
        if f"{share:g}" not in shares:
            network, config = load(name, o, share), recipe(name, o)
            shares[f"{share:g}"] = {d: score(network, config, d, o) for d in DATASETS if d not in ROWS[name].datasets}
            keep(result, shares)
            print(table(o), flush=True)


def score(
    network: PartNetwork, config: TrainConfig, dataset: str, o: argparse.Namespace, unifier: TorchUnifier | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """Distance -> kind of query -> figures."""
    sets = (read_folder(o.data / dataset / part) for part in ("query", "bounding_box_test"))
    found = score_engine(
        lambda p: embed(network, p, config.size, bf16=not o.frozen),
        *sets,
        seeds=range(o.draws),
        unifier=unifier,
        size=config.size,
    )
    if o.kept:
        network.backbone[0].save()  # type: ignore[index, operator]
    groups = {"parts": found.parts, "whole": found.whole, "unified": found.unified}
    return {g: {kind: s.as_dict() for kind, s in by_kind.items()} for g, by_kind in groups.items()}


def keep(path: Path, numbers: dict[str, Any]) -> None:
    """Write in one step."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(numbers, indent=1))
    temporary.replace(path)


def table(o: argparse.Namespace) -> str:
    """Markdown of all finished rows: R1 / mAP by the part distance; the whole-person distance and unification where
    they tell something."""
    kinds = [(d, k) for d in DATASETS for k in ("clean", "patch", "person")]
    lines = ["| | row | " + " | ".join(f"{d} {k}" for d, k in kinds) + " |", "|---" * (2 + len(kinds)) + "|"]
    for name, row in ROWS.items():
        path = o.out / name / "scores.json"
        if not path.exists():
            continue
        scores = json.loads(path.read_text())
        for distance, suffix in (("parts", ""), ("whole", ", whole person alone"), ("unified", ", occlusions unified")):
            wanted = (
                distance == "parts"
                or (distance == "whole" and (name == "full" or len(row.datasets) < len(DATASETS)))
                or distance == "unified"
            )
            if wanted and scores["cuhk03"].get(distance):
                cells = [_cell(scores[d][distance][k]) for d, k in kinds]
                lines.append(f"| {row.group} | {row.title}{suffix} | " + " | ".join(cells) + " |")
        lines += share_lines(o.out / name / "shares.json", row, kinds)
    return "\n".join(lines)


def share_lines(path: Path, row: Row, kinds: list[tuple[str, str]]) -> list[str]:
    """Lines of a row's shares of the base weights, as far as they were scored."""
    lines = []
    for share, scores in (json.loads(path.read_text()) if path.exists() else {}).items():
        for distance, suffix in (("parts", ""), ("whole", ", whole person alone")):
            cells = [_cell(scores[d][distance][k]) if d in scores else "" for d, k in kinds]
            lines.append(f"| {row.group} | {row.title}, base share {share}{suffix} | " + " | ".join(cells) + " |")
    return lines


def _cell(score: dict[str, float]) -> str:
    return " / ".join(f"{np.round(score[k], 3):.3f}".removeprefix("0") for k in ("R1", "mAP"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with cuhk03/ and cuhk01/")
    parser.add_argument("labels", type=Path, help="folder with the class maps of each")
    parser.add_argument("retail", type=Path, help="person-reidentification-retail-0277.xml")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS), help="in this order")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--draws", type=int, default=2, help="occlusion draws per query")
    parser.add_argument("--freeze", type=int, default=1, help="see network.freeze; 0 trains everything")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further row after so long")
    parser.add_argument(
        "--kept",
        action="store_true",
        help="compute what --freeze leaves as it is once per picture, then train on that: minutes per row on a CPU",
    )
    parser.add_argument(
        "--frozen", action="store_true", help="the same with the whole backbone: heads alone are trained"
    )
    parser.add_argument(
        "--shares", type=float, nargs="*", default=[], help="of the base weights, for rows trained on one dataset"
    )
    parser.add_argument("--table", action="store_true", help="only print what there is")
    add_json(parser, "ablation")
    o = parser.parse_args()
    o.kept |= o.frozen
    if o.kept and o.freeze < 1:
        parser.error("--kept needs --freeze 1 or more: nothing stays as it is")
    began = time.time()
    for name in [] if o.table else [r for r in o.rows if not (o.kept and needs_pictures(ROWS[r]))]:
        if time.time() - began < 60 * o.minutes:
            run(name, o)
            if o.shares and len(ROWS[name].datasets) < len(DATASETS):
                run_shares(name, o)
    text = table(o)
    print(text)
    files = {name: o.out / name / "scores.json" for name in ROWS}
    save_asked(o, {name: json.loads(path.read_text()) for name, path in files.items() if path.exists()})
    if not o.table:
        (o.out / "table.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
