"""Embedders: an engine bundle, and one that does not look at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamreid._startup import starting
from streamreid.compiling.policy import LoadOptions, open_graph
from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.features.similarity import Calibration
from streamreid.reid.bundle import Bundle
from streamreid.reid.crops import draw_crops, plan_crops
from streamreid.runtimes import FrameRuntime, OpenVINORuntime, Runtime
from streamreid.types import Detections, FloatArray, Frame, PartFeatures

__all__ = ["BlindEmbedder", "EngineEmbedder"]


class EngineEmbedder:
    """Runs an engine bundle on the people of many frames at once.

    Args:
        bundle: The engine.
        config: Runtime, precision, batch and least height.
        runtime: The graph, already opened (with pictures as input), instead of what the configuration would choose.

    Raises:
        EngineError: The graph cannot be run, or does not give what the bundle promises.
    """

    def __init__(self, bundle: Bundle, config: EngineConfig, *, runtime: Runtime | None = None) -> None:
        manifest = bundle.manifest
        self.name = manifest.name
        self.parts: tuple[str, ...] = manifest.parts
        self.dim = manifest.dim
        self.fingerprint = bundle.fingerprint
        self.calibration = bundle.calibration
        self._config = config
        self.size = (manifest.input.height, manifest.input.width)
        self._where = bundle.folder / manifest.model
        self._runtime = runtime or open_graph(
            bundle.compiled, LoadOptions.of(config), on_mismatch=config.on_mismatch, image=manifest.input.image()
        )
        self.runtime, self.precision = self._runtime.name, self._runtime.precision
        self._parts = self._output(manifest.outputs.parts)
        self._visibility = None if manifest.outputs.visibility is None else self._output(manifest.outputs.visibility)
        self._try()

    def _try(self) -> None:
        """Find wrong shapes now, not in the middle of a run; once for a graph that is kept compiled."""
        promise = f"{self.size} {len(self.parts)} {self.dim} {self._parts} {self._visibility}"
        known = self._runtime if isinstance(self._runtime, OpenVINORuntime) else None
        if known is not None and known.proven(promise):
            return
        with starting(f"first inference of engine '{self.name}'"):
            self.embed(np.full((1, *self.size, 3), 128, np.uint8))
        if known is not None:
            known.prove(promise)

    def __call__(self, frames: Sequence[Frame], detections: Sequence[Detections]) -> list[PartFeatures]:
        """See ``Embedder``."""
        results = [PartFeatures.unseen(len(found), len(self.parts), self.dim) for found in detections]
        plan = plan_crops(frames, detections, self._config.min_height)
        on_device = isinstance(self._runtime, FrameRuntime) and self._runtime.takes_frames
        block = np.empty((0 if on_device else min(len(plan), self._config.batch), *self.size, 3), np.uint8)
        images = [frame.image for frame in frames]
        for start in range(0, len(plan), self._config.batch):
            piece = plan[start : start + self._config.batch]
            if isinstance(self._runtime, FrameRuntime) and on_device:
                features = self._features(self._runtime.from_frames(images, piece.frames, piece.boxes), len(piece))
            else:
                crops = block[: len(piece)]
                draw_crops(frames, piece, crops)
                features = self.embed(crops)
            for number in np.unique(piece.frames):
                mine = piece.frames == number
                results[number].parts[piece.rows[mine]] = features.parts[mine]
                results[number].visibility[piece.rows[mine]] = features.visibility[mine]
        return results

    def prepare(self) -> None:
        """Compile, beside whatever comes next, what batches of any size need."""
        prepare = getattr(self._runtime, "prepare", None)
        if prepare is not None:
            prepare((*self.size, 3))

    def embed(self, crops: NDArray[np.uint8]) -> PartFeatures:
        """Features of crops that are already cut out and resized.

        Args:
            crops: ``[N, H, W, 3]`` uint8 BGR of the engine's size.
        """
        if len(crops) == 0:
            return PartFeatures.unseen(0, len(self.parts), self.dim)
        return self._features(self._runtime(crops), len(crops))

    def close(self) -> None:
        """Release what the runtime holds outside Python (a GPU's memory)."""
        close = getattr(self._runtime, "close", None)
        if close is not None:
            close()

    def _features(self, outputs: list[FloatArray], count: int) -> PartFeatures:
        parts = len(self.parts)
        raw = outputs[self._parts]
        if raw.size != count * parts * self.dim or len(raw) != count:
            raise EngineError(
                f"{self._where}: output {self._runtime.outputs[self._parts]} gave {list(raw.shape)} for {count} "
                f"crops; the bundle promises {parts} parts of {self.dim} values"
            )
        features = raw.reshape(count, parts, self.dim)
        visibility = (
            np.ones((count, parts), np.float32)
            if self._visibility is None
            else self._seen(outputs[self._visibility], count)
        )
        return _clean(features, visibility)

    def _seen(self, raw: FloatArray, count: int) -> FloatArray:
        if raw.size != count * len(self.parts) or len(raw) != count:
            raise EngineError(
                f"{self._where}: visibility output gave {list(raw.shape)} for {count} crops of {len(self.parts)} parts"
            )
        return raw.reshape(count, len(self.parts))

    def _output(self, name: str) -> int:
        names = [info.name for info in self._runtime.outputs]
        if name not in names:
            raise EngineError(f"{self._where}: the graph has no output '{name}'; it has: {', '.join(names)}")
        return names.index(name)

    def __repr__(self) -> str:
        return f"EngineEmbedder({self.name}, parts={len(self.parts)}, dim={self.dim}, {self.runtime} {self.precision})"


class BlindEmbedder:
    """Engine 'none': nobody is looked at, so tracking uses motion only."""

    name = "none"
    parts: tuple[str, ...] = ("foreground",)
    dim = 1
    fingerprint = "none"
    calibration = Calibration(0.0, 0.0, "none")
    runtime = "none"
    precision = "none"

    def __call__(self, frames: Sequence[Frame], detections: Sequence[Detections]) -> list[PartFeatures]:
        """See ``Embedder``."""
        return [PartFeatures.unseen(len(found), len(self.parts), self.dim) for found in detections]

    def __repr__(self) -> str:
        return "BlindEmbedder()"


def _clean(features: FloatArray, visibility: FloatArray) -> PartFeatures:
    """Unit length, visibility in [0, 1]; a part without a usable feature is not visible."""
    length = np.linalg.norm(features, axis=2)
    good = np.isfinite(length) & (length > 1e-12) & np.isfinite(visibility)
    parts = np.zeros_like(features)
    np.divide(features, length[..., None], out=parts, where=good[..., None])
    return PartFeatures(parts, np.where(good, np.clip(visibility, 0.0, 1.0), 0.0).astype(np.float32))
