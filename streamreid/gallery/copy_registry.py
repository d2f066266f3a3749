"""Copies of a gallery's data elsewhere, backups and exports, from which people must be erased as well."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamreid.errors import StreamReIDError
from streamreid.files import atomic_write
from streamreid.gallery.erasure_proof import ByteSignatures, find_residue
from streamreid.gallery.records import Erasure

if TYPE_CHECKING:
    from streamreid.gallery.gallery import Gallery

__all__ = ["EXPORT_MANIFEST", "forget_in_copies", "forget_in_export", "write_arrays"]

EXPORT_MANIFEST = "manifest.json"
FEATURES = "features.npz"
PAIRS = "pairs.csv"


STORES = ("backup", "copy", "original")
"""Kinds of copies that are galleries themselves; ``original`` is what a copy was made of."""


def forget_in_copies(
    copies: Sequence[tuple[str, str]],
    result: Erasure,
    open_copy: Callable[[str], Gallery],
    wanted: ByteSignatures,
    *,
    visited: frozenset[str] = frozenset(),
) -> None:
    """Erase people from every known copy and note in ``result`` where that worked.

    Args:
        copies: Kind (one of ``STORES``, "export", or "cache" and "results", which are only named) and path or address.
        result: ``identities`` are erased; ``done``, ``unreachable``, ``remains`` and ``searched`` are filled in.
        open_copy: Opens a copy that is a gallery.
        wanted: Signatures of bytes that must not be left.
        visited: Galleries in which they are erased already: copies know what they were made of.
    """
    for kind, place in copies:
        remote = "://" in place
        if place in visited:
            continue
        if kind == "cache":  # its manifest is the first of it to go
            if (Path(place) / "manifest.json").exists():
                result.unreachable[place] = (
                    "this cache holds features of everybody who was seen; remove it: streamreid gallery forget ... "
                    f"--also {place}"
                )
            continue
        if kind == "results":  # their formats are not the gallery's: `streamreid.runs.erasure` looks
            if Path(place).exists():
                result.results.append(place)
                result.unreachable[place] = (
                    "results of a run with this gallery, in which they may be; erase them there: streamreid gallery "
                    f"forget ... --also {place}"
                )
            continue
        if not remote and not Path(place).exists():
            result.unreachable[place] = f"this {kind} is not there any more; if it was moved, forget there as well"
            continue
        try:
            if kind in STORES:
                copy = open_copy(place)
                try:
                    inner = copy.forget(result.identities, actor=f"forget in {kind}", visited=visited)
                finally:
                    copy.close()
                files = [] if remote else [Path(place)]
                result.unreachable.update(inner.unreachable)
                result.results += inner.results
                result.remains += inner.remains
                result.done += [path for path in inner.done if path not in result.done]
            else:
                files = forget_in_export(Path(place), result.identities)
        except (StreamReIDError, OSError, ValueError, KeyError) as error:
            result.unreachable[place] = str(error)
            continue
        remains, searched = find_residue(files, wanted)
        result.remains += remains
        result.searched += searched
        result.done.append(place)


def forget_in_export(folder: Path, ids: Sequence[int]) -> list[Path]:
    """Rewrite an export without some people; their pictures are deleted.

    Returns:
        The files that were rewritten.
    """
    gone = set(ids)
    manifest: dict[str, Any] = json.loads((folder / EXPORT_MANIFEST).read_text(encoding="utf-8"))
    with np.load(folder / FEATURES) as stored:
        arrays = {name: stored[name] for name in stored.files}
    keep = ~np.isin(arrays["global_id"], sorted(gone))
    for name in sorted({p for who, names in manifest["pictures"].items() if int(who) in gone for p in names}):
        (folder / name).unlink(missing_ok=True)
    lines = (folder / PAIRS).read_text(encoding="utf-8").splitlines()
    kept = [lines[0], *(line for line in lines[1:] if not gone & {int(v) for v in line.split(",")[1:3]})]
    manifest["pictures"] = {who: names for who, names in manifest["pictures"].items() if int(who) not in gone}
    manifest["identities"] = [i for i in manifest["identities"] if int(i["global_id"]) not in gone]
    write_arrays(folder / FEATURES, {name: values[keep] for name, values in arrays.items()})
    _replace(folder / PAIRS, ("\n".join(kept) + "\n").encode())
    _replace(folder / EXPORT_MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
    return [folder / name for name in (FEATURES, PAIRS, EXPORT_MANIFEST)]


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays uncompressed, so that a search for bytes means something; the file is complete or not there."""
    with _in_place_of(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def _replace(path: Path, data: bytes) -> None:
    with _in_place_of(path) as part:
        part.write_bytes(data)


def _in_place_of(path: Path) -> AbstractContextManager[Path]:
    """A new file in the place of an old one, for the same readers."""
    return atomic_write(path, mode=path.stat().st_mode & 0o777 if path.exists() else None, durable=True)
