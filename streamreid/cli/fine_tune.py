"""``streamreid adapt --fine-tune``: a new engine that was trained further on the tracks of a site."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from streamreid._folders import FolderLock
from streamreid._version import __version__
from streamreid.cli.calibrate import refuse_existing, replay_config
from streamreid.cli.console import output
from streamreid.cli.progress_line import Work
from streamreid.compiling.bundle_folder import bundle_name
from streamreid.config import EngineConfig
from streamreid.errors import ConfigError, DataError, EngineMismatchError
from streamreid.reid.bundle import Bundle, CalibrationValues, load_bundle, write_bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.reid.factory import shipped_engines
from streamreid.replay.site_pictures import read_pictures, walk_with_boxes
from streamreid.replay.site_tuning import (
    Judged,
    TuningTask,
    final_adaptation,
    judge_features,
    moved_calibration,
    tuning_task,
)
from streamreid.replay.tuning_report import tuning_page, tuning_report
from streamreid.sinks.base import atomic_text
from streamreid.training.requirements import need_torch
from streamreid.types import Image, PartFeatures

if TYPE_CHECKING:
    from streamreid.training.graph_module import EngineModule

__all__ = ["fine_tune"]

KEPT = (0.0, 0.5)
"""Shares of the old weights that are tried."""


@dataclass(frozen=True, slots=True)
class _Tried:
    """One candidate."""

    kept: float
    bundle: Bundle
    features: PartFeatures
    judged: Judged


def fine_tune(
    folders: list[Path],
    out: Path,
    *,
    engine: Path | None,
    report: Path | None,
    settings_file: Path | None,
    settings: list[str],
    steps: int,
    seed: int,
    overwrite: bool,
    quiet: bool,
) -> None:
    """See ``streamreid adapt``.

    Raises:
        ConfigError: The folder to write to holds something already.
        DataError: Too little to learn from, recordings that are gone, or an engine that is not there.
        EngineMismatchError: Another engine than that of the caches.
    """
    need_torch("Fine-tuning")
    refuse_existing(report, overwrite=overwrite)
    if out.is_file() or out.suffix == ".npz":
        raise ConfigError(f"--out {out}: --fine-tune writes a folder (the new engine and its adaptation); name one")
    refuse_existing(out / "engine", out / "site.npz", overwrite=overwrite)
    with FolderLock(out), Work("following the people of the caches", total=len(folders), quiet=quiet) as work:
        walked = []
        for folder in folders:
            walked.append(walk_with_boxes(folder, replay_config(folder, settings_file, settings)))
            work.advance()
        marks = {w.replay.manifest.engine.fingerprint: w.replay.manifest.engine.name for w, _ in walked}
        if len(marks) > 1:
            raise DataError(
                f"caches of several engines cannot be learnt from together: {', '.join(sorted(marks.values()))}"
            )
        bundle = _bundle(engine, next(iter(marks)), walked[0][0].replay.config.engine.model, *marks.values())
        form = bundle.manifest.input
        work.step("cutting people out of the recordings", sum(len(w.replay.config.cameras) for w, _ in walked))
        site = read_pictures(walked, (form.height, form.width), work.advance)
        work.step("describing them", len(site.pictures))
        features = _described(bundle, site.pictures, work)
        task = tuning_task(site, features, seed=seed)
        before = judge_features(task, features, seed=seed)
        with tempfile.TemporaryDirectory(dir=out, prefix=".draft-") as scratch:
            tried = _train(bundle, task, features, out, Path(scratch), steps, seed, work)
            best = _best(tried, before)
            taken = best if best.judged.better_than(before) else None
            figures = tuning_report(
                task, before, {t.kept: t.judged for t in tried}, None if taken is None else taken.kept, steps
            )
            if taken is not None:
                _write(taken, task, bundle, figures, out, seed)
    (out / "tuning.pt").unlink(missing_ok=True)
    if report is not None:
        page = tuning_page(figures, task, before, best.judged, bundle.manifest.parts, bundle.manifest.name)
        with atomic_text(report) as file:
            file.write(json.dumps(figures, indent=1) + "\n" if report.suffix == ".json" else page)
    if not quiet:
        _print(figures, out)


def _bundle(asked: Path | None, fingerprint: str, model: str, name: str) -> Bundle:
    """The engine of the caches."""
    shipped = shipped_engines()
    if asked is not None:
        folder = shipped.get(str(asked), asked)
    else:
        folder = shipped[name] if model == "auto" and name in shipped else shipped.get(model, Path(model).expanduser())
    if not folder.is_dir():
        raise DataError(f"the caches are of engine '{name}', which is not at '{folder}'; name its folder with --engine")
    bundle = load_bundle(folder)
    if bundle.fingerprint != fingerprint:
        raise EngineMismatchError(
            f"the caches are of engine '{name}' ({fingerprint[:16]}); '{folder}' is another ({bundle.fingerprint[:16]})"
        )
    return bundle


def _described(bundle: Bundle, pictures: Image, work: Work | None = None) -> PartFeatures:
    embedder, found = EngineEmbedder(bundle, EngineConfig(min_height=0.0)), []
    for start in range(0, len(pictures), 32):
        found.append(embedder.embed(pictures[start : start + 32]))
        if work is not None:
            work.advance(len(pictures[start : start + 32]))
    return PartFeatures.concatenate(found)


def _train(
    bundle: Bundle,
    task: TuningTask,
    features: PartFeatures,
    out: Path,
    scratch: Path,
    steps: int,
    seed: int,
    work: Work,
) -> list[_Tried]:
    from streamreid.training.graph_module import EngineModule
    from streamreid.training.site_tuning import TuningSettings, blended, tune

    module = EngineModule(bundle)
    work.step("training", steps)
    seen = features[task.learnt]

    def tell(done: int, loss: float) -> None:
        work.update(done)
        work.note(f"loss {loss:.2f}")

    tune(module, task.people, seen.visibility, TuningSettings(steps=steps, seed=seed), out, tell)
    work.step("judging", len(KEPT) * len(task.site.pictures))
    tried = []
    for kept in KEPT:
        if kept:
            blended(module, EngineModule(bundle), kept)
        draft = _draft(module, bundle, scratch / f"{kept:g}")
        found = _described(draft, task.site.pictures, work)
        tried.append(_Tried(kept, draft, found, judge_features(task, found, seed=seed)))
    return tried


def _best(tried: list[_Tried], before: Judged) -> _Tried:
    """The candidate that tells people apart best; of those that are better in every figure, if there are any."""
    better = [t for t in tried if t.judged.better_than(before)]
    return max(better or tried, key=lambda t: t.judged.found.separation)


def _draft(module: EngineModule, bundle: Bundle, folder: Path) -> Bundle:
    files = folder / "files"
    files.mkdir(parents=True)
    manifest = bundle.manifest.model_copy(
        update={
            "features": None,
            "files": {},
            "variants": {},
            "builds": {},
            "program": None,
            "model": bundle.manifest.model if bundle.model.suffix == ".xml" else "model.onnx",
            "outputs": bundle.manifest.outputs,
            "rank": 0,
            "created": datetime.now(timezone.utc).date().isoformat(),
            "version": __version__,
        }
    )
    return write_bundle(folder / "engine", manifest, module.write(files))


def _write(taken: _Tried, task: TuningTask, bundle: Bundle, figures: dict[str, Any], out: Path, seed: int) -> None:
    """The new engine, and the adaptation of its features."""
    moved = moved_calibration(task, bundle.calibration, taken.features, seed=seed)
    own = taken.bundle
    data = f"{bundle.manifest.training_data}; " if bundle.manifest.training_data else ""
    manifest = own.manifest.model_copy(
        update={
            "name": bundle_name(None, out),
            "description": f"{bundle.manifest.name}, fine-tuned on a site",
            "training_data": f"{data}tracks of the site's own cameras",
            "calibration": CalibrationValues(**asdict(moved)),
        }
    )
    files = {name: own.folder / name for name in own.manifest.files}
    written = write_bundle(out / "engine", manifest, files, force=True)
    adaptation = final_adaptation(task, taken.features, taken.judged, written.fingerprint, figures, seed=seed)
    if adaptation is not None:
        adaptation.save(out / "site.npz")
    else:
        (out / "site.npz").unlink(missing_ok=True)


def _print(figures: dict[str, Any], out: Path) -> None:
    table = Table("", "log-loss", "separation", title="one person or two, on tracks it was not trained on")
    for column in table.columns[1:]:
        column.justify = "right"
    rows: list[tuple[str, float | None, Any]] = [("the engine as it is", None, figures["before"])]
    rows += [(f"fine-tuned, {float(k):.0%} of the old weights", float(k), f) for k, f in figures["after"].items()]
    for name, kept, found in rows:
        mark = " (taken)" if kept is not None and kept == figures["taken"] else ""
        table.add_row(name + mark, f"{found['log_loss']:.3f}", f"{found['separation']:.2f}")
    output.print(table)
    if figures["taken"] is None:
        output.print("nothing is written: it is not better than the engine as it is", highlight=False)
        return
    more = f" --set association.adaptation={out / 'site.npz'}" if (out / "site.npz").exists() else ""
    output.print(
        f"written: {out / 'engine'}; use it with: streamreid run ... --engine {out / 'engine'}{more}",
        soft_wrap=True,
        highlight=False,
    )
