"""Pictures of people to part features, without a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid._yaml import validate
from streamreid.config import EngineConfig
from streamreid.errors import ConfigError, EngineError, SourceError
from streamreid.features.similarity import Calibration
from streamreid.reid.embedder import BlindEmbedder, EngineEmbedder
from streamreid.reid.factory import open_embedder
from streamreid.types import Detections, Frame, Image, PartFeatures

__all__ = ["FeatureExtractor", "Picture", "read_image"]

Picture = str | Path | NDArray[Any]
Color = Literal["bgr", "rgb"]


class FeatureExtractor:
    """Turns pictures of people into part features, with the numbers that a run gives for the same crops.

    Each picture shows one person, cut out of a frame; it may have any size. The engine's size, colour order and
    normalisation are taken care of.

    Example:
        >>> import numpy as np
        >>> from streamreid import FeatureExtractor
        >>> crops = [np.full((256, 128, 3), 90, np.uint8), np.full((180, 70, 3), 160, np.uint8)]
        >>> with FeatureExtractor() as extract:
        ...     people = extract(crops)  # or paths: extract(["anna.jpg", "ben.png"])
        >>> len(people), people.parts.shape[1] == people.visibility.shape[1] == len(extract.parts)
        (2, True)
        >>> from streamreid.features.similarity import part_similarity
        >>> similarity, shared = part_similarity(people, people)  # [N, N] each; compares what both pictures show
        >>> similarity.shape
        (2, 2)

    Args:
        engine: A shipped engine's name, the folder of an engine bundle, or "auto" for the best one that ships.
        runtime: "auto", "openvino", "onnxruntime", "tensorrt" (an NVIDIA GPU and a plan built for it) or "torch" (the
            GPU where there is one).
        precision: "auto" takes the fastest whose accuracy was verified; "fp32" gives the reference.
        batch: Most pictures in one run of the engine, and most that are in memory at once when paths are given. Larger
            is faster on a GPU and takes more memory.
        threads: Threads of the engine on a CPU; None: all cores of the process.

    Raises:
        ConfigError: A wrong value, or engine "none", which gives no features.
        EngineError: Unknown or damaged engine, or one that cannot be run here.
    """

    def __init__(
        self,
        engine: str | Path = "auto",
        *,
        runtime: str = "auto",
        precision: str = "auto",
        batch: int = 32,
        threads: int | None = None,
    ) -> None:
        values = {"model": str(engine), "runtime": runtime, "precision": precision, "batch": batch, "threads": threads}
        self._config = validate(EngineConfig, {**values, "min_height": 0.0}, where="FeatureExtractor")
        if self._config.model == "none":
            raise ConfigError(
                "FeatureExtractor: engine 'none' gives no features; name an engine, a bundle's folder, or 'auto'"
            )
        embedder = open_embedder(self._config)
        if isinstance(embedder, BlindEmbedder):
            raise EngineError("FeatureExtractor: no usable engine came with this installation; pass a bundle's folder")
        assert isinstance(embedder, EngineEmbedder)
        self._embedder: EngineEmbedder | None = embedder
        self.name = embedder.name
        self.parts: tuple[str, ...] = embedder.parts
        self.dim: int = embedder.dim
        self.fingerprint: str = embedder.fingerprint
        self.calibration: Calibration = embedder.calibration

    def __call__(self, pictures: Picture | Sequence[Picture], *, color: Color = "bgr") -> PartFeatures:
        """Part features of pictures, one row for each, in their order.

        Args:
            pictures: A path, an array ``[H, W, 3]`` (or grey, ``[H, W]``) uint8, a batch ``[N, H, W, 3]`` uint8, or a
                list of paths and arrays of any sizes.
            color: Order of the arrays' channels: "bgr" as OpenCV reads, "rgb" as Pillow, imageio and torchvision do. A
                wrong order gives features that compare badly. Files are read in the right order whatever it says.

        Raises:
            SourceError: A file cannot be read as a picture.
            ValueError: An array is no picture, or ``color`` is neither.
            EngineError: The extractor is closed.
        """
        if self._embedder is None:
            raise EngineError(f"FeatureExtractor({self.name}) is closed; use it inside its 'with' block")
        if color not in ("bgr", "rgb"):
            raise ValueError(f"color: expected 'bgr' or 'rgb', got {color!r}")
        listed = _listed(pictures)
        found = [PartFeatures.unseen(0, len(self.parts), self.dim)]
        for start in range(0, len(listed), self._config.batch):
            chunk = listed[start : start + self._config.batch]
            frames = [Frame("picture", 0, 0.0, image) for image in _read(chunk, color, start)]
            found += self._embedder(frames, [Detections.from_arrays([[0, 0, *frame.size]]) for frame in frames])
        return PartFeatures.concatenate(found)

    def close(self) -> None:
        """Release the engine. Safe to call twice."""
        if self._embedder is not None:
            self._embedder.close()
        self._embedder = None

    def __enter__(self) -> FeatureExtractor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"FeatureExtractor({self.name}, parts={len(self.parts)}, dim={self.dim})"


def read_image(path: str | Path) -> Image:
    """``[H, W, 3]`` uint8 BGR of a picture file.

    Raises:
        SourceError: It cannot be read or is no picture.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise SourceError(f"'{path}' is a folder; list its pictures: sorted(Path('{path}').glob('*.jpg'))")
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise SourceError(f"picture '{path}' cannot be read: {error.strerror or error}") from None
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise SourceError(f"'{path}' is not a picture that can be decoded (JPEG, PNG, ...)")
    return np.asarray(picture, np.uint8)


def _listed(pictures: Picture | Sequence[Picture]) -> Sequence[Picture]:
    if isinstance(pictures, str | Path):
        return [pictures]
    if isinstance(pictures, np.ndarray):
        return list(pictures) if pictures.ndim == 4 else [pictures]
    return pictures if isinstance(pictures, Sequence) else list(pictures)


def _read(pictures: Sequence[Picture], color: Color, first: int) -> Iterator[Image]:
    for number, picture in enumerate(pictures, first):
        if isinstance(picture, str | Path):
            yield read_image(picture)
        else:
            yield _as_bgr(picture, color, number)


def _as_bgr(picture: Any, color: Color, number: int) -> Image:
    if not isinstance(picture, np.ndarray):
        raise ValueError(
            f"picture {number}: expected a path or a NumPy array, got {type(picture).__name__}; "
            "a Pillow image: extract(np.asarray(image), color='rgb')"
        )
    shape = picture.shape
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or (picture.ndim == 3 and shape[2] != 3) or 0 in shape:
        raise ValueError(
            f"picture {number}: expected uint8 [H, W, 3] or [H, W] with values 0 to 255, got {picture.dtype} "
            f"{list(shape)}"
        )
    if picture.ndim == 2:
        return np.repeat(picture[:, :, None], 3, axis=2)
    return np.ascontiguousarray(picture[:, :, ::-1]) if color == "rgb" else picture
