"""Part scores of person crops by BodyPix (MobileNetV1 0.50, stride 16; Apache-2.0)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.labels import LABEL_SIZE
from streamreid.datasets.part_grouping import GROUPINGS, PartGrouping, mirrored_parts
from streamreid.errors import MissingExtraError, WeightsError
from streamreid.types import FloatArray, Image

__all__ = ["BodyPix", "with_halves"]

_INPUT = (257, 177)
"""Height and width that the body-part network is fed at."""


class BodyPix:
    """The BodyPix network as a parser.

    The scores of a picture and of its mirror image are averaged, left and right exchanged.

    Args:
        model: Path of ``bodypix_mobilenetv1_050_stride16.onnx``.
        threads: CPU threads.
        grouping: Parts to tell apart.

    Raises:
        WeightsError: The file is missing or is not this network.
    """

    def __init__(self, model: str | Path, threads: int = 1, grouping: PartGrouping | None = None) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "train", "Making part labels") from error
        if not Path(model).is_file():
            raise WeightsError(
                f"{model}: the BodyPix network is missing; get bodypix_mobilenetv1_050_stride16.onnx and give its path"
            )
        self.grouping = grouping or GROUPINGS["five"]
        self._mirror = [0, *(1 + m for m in mirrored_parts(self.grouping.names))]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        outputs = {o.name for o in self._session.get_outputs()}
        if not {"segments", "part_heatmaps"} <= outputs:
            raise WeightsError(
                f"{model}: expected the outputs 'segments' and 'part_heatmaps', found {', '.join(sorted(outputs))}"
            )

    def __call__(self, image: Image, path: Path | None = None) -> FloatArray:
        """See `Parser`; every pixel's scores sum to 1."""
        mirrored = self._one(np.ascontiguousarray(image[:, ::-1]))[self._mirror, :, ::-1]
        return np.asarray((self._one(image) + mirrored) / 2, np.float32)

    def _one(self, image: Image) -> FloatArray:
        height, width = image.shape[:2]
        pad = max(0, round((height * 2 / 3 - width) / 2))
        padded = cv2.copyMakeBorder(image, 0, 0, pad, pad, cv2.BORDER_REPLICATE)
        blob = (
            cv2.resize(padded, _INPUT[::-1], interpolation=cv2.INTER_LINEAR)[:, :, ::-1].astype(np.float32) / 127.5 - 1
        )
        segments, parts = self._session.run(["segments", "part_heatmaps"], {self._input: blob[None]})
        foreground = _sigmoid(np.asarray(segments)).reshape(np.asarray(segments).shape[1:3])
        heat = _sigmoid(np.asarray(parts)[0])
        if heat.shape[-1] == 24:
            heat = np.moveaxis(heat, -1, 0)
        groups = self.grouping.merge(with_halves(heat), "bodypix")
        groups *= (foreground / np.maximum(groups.sum(0), 1e-6))[None]
        scores = np.concatenate([1 - foreground[None], groups])
        size, method = (
            (padded.shape[1], padded.shape[0]),
            cv2.INTER_AREA if height > LABEL_SIZE[0] else cv2.INTER_LINEAR,
        )
        full = [
            np.ascontiguousarray(cv2.resize(s, size, interpolation=cv2.INTER_LINEAR)[:, pad : pad + width])
            for s in scores
        ]
        return np.stack([cv2.resize(plane, LABEL_SIZE[::-1], interpolation=method) for plane in full]).astype(
            np.float32
        )


def with_halves(heat: FloatArray) -> FloatArray:
    """Add the torso's upper (24) and lower half (25): above and below the mean row of its scores.

    Args:
        heat: ``[24, H, W]`` scores.

    Returns:
        ``[26, H, W]``.
    """
    torso = heat[12:14].max(0)
    sure = torso * (torso > 0.5)
    rows = np.arange(torso.shape[0], dtype=np.float32)[:, None]
    middle = float((rows * sure).sum() / sure.sum()) if sure.any() else (torso.shape[0] - 1) / 2
    upper = torso * (rows <= middle)
    return np.concatenate([heat, upper[None], (torso - upper)[None]]).astype(np.float32)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)
