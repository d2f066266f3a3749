"""A trained network becomes an engine bundle."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from streamreid._version import __version__
from streamreid.compiling.bundle_folder import bundle_name
from streamreid.config import EngineConfig
from streamreid.datasets.identity_split import Picture, split_people
from streamreid.reid.bundle import (
    Bundle,
    BundleManifest,
    CalibrationValues,
    InputFormat,
    OutputNames,
    load_bundle,
    write_bundle,
)
from streamreid.reid.embedder import EngineEmbedder
from streamreid.reid.link_calibration import fit_calibration
from streamreid.reid.same_features import same_features
from streamreid.training.export import OCCLUSION, PARTS, UNIFIED, VISIBILITY, export_onnx, export_unified
from streamreid.training.loop import load_network
from streamreid.training.weight_interpolation import blend

__all__ = ["export_bundle"]


def export_bundle(
    checkpoint: Path,
    out: Path,
    *,
    name: str | None = None,
    licence: str = "unknown",
    description: str = "",
    rank: int = 0,
    base: float = 0.0,
    unified: bool = False,
    same_as: Path | None = None,
    force: bool = False,
) -> Bundle:
    """Write a checkpoint as an engine bundle, with its link probability fitted on the people held out of training.

    Args:
        checkpoint: ``best.pt`` or ``last.pt`` of a training.
        out: Folder of the bundle to create.
        name: Of the engine; None: the folder's name.
        licence: Of the weights, the training data's terms included.
        description: One line for lists.
        rank: "auto" takes the engine of the highest rank.
        base: Share of the pretrained weights to keep, 0 to 1; more of it carries over better to cameras never seen.
        unified: Add the graph of the nine gallery variants of occlusion unification (needs a grader).
        same_as: An earlier bundle of these weights; if its features are the same bit by bit, galleries written with it
            stay valid.
        force: Replace an existing bundle.

    Raises:
        EngineError: The bundle exists or cannot be written, or ``same_as`` has other features.
        DataError: The checkpoint cannot be read.
    """
    network, config, _ = load_network(checkpoint)
    if base:
        network = blend(network, config, base)
    manifest = BundleManifest(
        name=bundle_name(name, out),
        description=description,
        licence=licence,
        input=InputFormat(
            height=config.size[0], width=config.size[1], color="bgr", scale=(1.0, 1.0, 1.0), bias=(0.0, 0.0, 0.0)
        ),
        outputs=OutputNames(
            parts=PARTS, visibility=VISIBILITY, extra={OCCLUSION: OCCLUSION} if network.grader is not None else {}
        ),
        parts=("foreground", *config.network.parts),
        dim=network.shape[1],
        calibration=CalibrationValues(slope=12.0, intercept=-6.0),
        rank=rank,
        created=datetime.now(timezone.utc).date().isoformat(),
        version=__version__,
    )
    with tempfile.TemporaryDirectory() as scratch:
        graph = export_onnx(network, Path(scratch) / "model.onnx", config.size)
        files = {"model.onnx": graph}
        if unified:
            files[UNIFIED] = export_unified(network, Path(scratch) / UNIFIED, config.size)
        draft = write_bundle(Path(scratch) / "draft", manifest, {"model.onnx": graph})
        fitted = _calibrate(draft, split_people(config.data).validation, Path(scratch) / "held-out")
        manifest = manifest.model_copy(update={"calibration": fitted})
        if same_as is not None:
            manifest = manifest.model_copy(update={"features": same_features(load_bundle(same_as), draft)})
        return write_bundle(out, manifest, files, force=force)


def _calibrate(bundle: Bundle, held_out: list[Picture], folder: Path) -> CalibrationValues:
    """Fit on the held-out people through the product's own way from picture to features; without such people the
    default stays."""
    if not held_out:
        return bundle.manifest.calibration
    folder.mkdir()
    for number, p in enumerate(held_out):
        (folder / f"{p.dataset * 100000 + p.person + 1}_c{p.camera}_{number:06d}{p.path.suffix}").symlink_to(
            p.path.resolve()
        )
    found = fit_calibration(EngineEmbedder(bundle, EngineConfig(min_height=0.0, precision="fp32")), folder)
    return CalibrationValues(**{**asdict(found), "source": f"{found.source}, held out of training"})
