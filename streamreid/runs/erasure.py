"""People are forgotten everywhere: in a gallery, its copies and exports, and in the caches and results of runs that
wrote with it.

A run with a gallery notes its folder of results there, and the gallery's origin (the same for all copies) in the
folder, in ``gallery.json``. So `forget` can name the folders in which somebody still is, and never takes the global ids
of results of another gallery, or of none, for those of its people.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from streamreid.cache.manifest import MANIFEST, read_manifest
from streamreid.cache.store import remove_cache
from streamreid.corrections import CorrectionLog
from streamreid.errors import DataError, FolderBusy, OutputError, StreamReIDError
from streamreid.files import write_json
from streamreid.gallery import Erasure, Gallery, GallerySearch
from streamreid.runs.result_folder import GALLERY, ResultsFolder
from streamreid.sinks.result_erasure import ErasedResults, erase_people, has_crops
from streamreid.types import PartFeatures, TrackKey

__all__ = [
    "NO_SCOPE",
    "belongs_to",
    "crop_scope",
    "describe_folder",
    "erase_forgotten",
    "erase_tracks",
    "forget_everywhere",
    "found_by_search",
    "is_cache",
    "mark_results",
    "register_results",
]

NO_SCOPE = "none"
"""Scope of crops that no crop has: without a gallery they are known by their tracks."""

_CLOSEST = 50  # identities; an erased one would be the closest of all to its own prototypes


def register_results(store: Gallery, folder: Path) -> None:
    """Note in a gallery that a run with it writes to a folder."""
    store.note_copy("results", folder, [])


def mark_results(store: Gallery, folder: Path) -> None:
    """Note in a folder of results that the global ids there are those of a gallery, besides others that it goes on
    from.

    Raises:
        OutputError: The folder is not writable.
    """
    write_json(folder / GALLERY, {"schema": 1, "galleries": sorted({*_galleries(folder), store.origin})})


def belongs_to(folder: Path, store: Gallery) -> bool:
    """Whether the global ids in a folder of results are those of a gallery."""
    return _ours(store, folder)


def crop_scope(store: Gallery) -> str:
    """In which global ids of crops are unique: in all runs with this gallery."""
    return f"gallery-{store.origin}"


def describe_folder(store: Gallery, folder: Path) -> str:
    """What `forget_everywhere` does to a folder, for a question.

    Raises:
        DataError: It holds neither a cache nor results of a run with this gallery.
    """
    parts = [f"the whole cache '{folder}'"] if is_cache(folder) else []
    if _results_in(store, folder):
        parts.append(
            f"everybody who was ever forgotten from the results in '{folder}', and films of cameras that saw them"
        )
    return ", ".join(parts)


def forget_everywhere(
    store: Gallery, ids: Sequence[int], also: Sequence[Path] = (), *, actor: str = ""
) -> tuple[Erasure, dict[str, ErasedResults]]:
    """Erase people from a gallery and all that is known of its copies, and from folders.

    Args:
        store: The gallery.
        ids: Global ids.
        also: Caches, which are removed, and folders of results (also of a batch), from which everybody is erased who
            was ever forgotten here.
        actor: For the audit log.

    Returns:
        What was done, with the folders of results that still hold somebody in ``unreachable``; and what was erased by
        folder of ``also``.

    Raises:
        DataError: One of ``also`` is neither a cache nor results of a run with this gallery. Nothing was erased.
        FolderBusy: Another process writes to one of them. Nothing was erased.
        OutputError: One of them cannot be changed.
        GalleryError: The gallery cannot be written.
    """
    caches = [folder for folder in also if is_cache(folder)]
    places = list(dict.fromkeys(place for folder in also for place in _results_in(store, folder)))
    erased: dict[str, ErasedResults] = {}
    with ExitStack() as locks:
        for folder in dict.fromkeys(
            [*(f for f in also if f not in caches), *places]
        ):  # a batch holds the folder around its recordings
            locks.enter_context(ResultsFolder(folder))
        for folder in caches:
            remove_cache(folder)
            store.audit("remove cache", {"folder": str(folder.absolute())}, actor=actor)
        erasure = store.forget(ids, actor=actor)
        everyone = store.forgotten()
        for place in places:
            erased[str(place)] = _erase(store, place, everyone, actor)
    _look_into_results(store, erasure, everyone)
    return erasure, erased


def erase_forgotten(folder: Path, said: CorrectionLog, *, scope: str = NO_SCOPE) -> None:
    """Erase from the results of a run who was forgotten while they were being written. The caller has locked the
    folder, and nothing writes there.

    Args:
        folder: Of the results.
        said: Its corrections.
        scope: Of its crops.

    Raises:
        OutputError: Something cannot be changed; the next call goes on.
    """
    open_ones = [c for c in said.entries if c.kind == "forget" and c.tracks]
    if not open_ones:
        return
    ids, tracks = {c.global_id for c in open_ones}, {track for c in open_ones for track in c.tracks}
    erase_tracks(folder, ids, tracks, scope=scope)
    said.forget(ids, tracks)


def erase_tracks(
    folder: Path,
    ids: Collection[int],
    tracks: Collection[TrackKey],
    *,
    scope: str = NO_SCOPE,
    crops_only: bool = False,
) -> ErasedResults:
    """Erase people from results whose folder the caller has locked; see `erase_people`.

    Raises:
        OutputError: Something cannot be changed; the next call goes on.
    """
    try:
        erased = erase_people(folder, ids, scope=scope, crops_only=crops_only, tracks=tracks)
        _shorten_summary(folder)
    except OSError as error:
        raise OutputError(
            f"cannot erase people from the results in '{folder}': {error.strerror or error}. Free space or change "
            "permissions, then repeat"
        ) from error
    return erased


def found_by_search(store: Gallery, prototypes: Sequence[PartFeatures], ids: Sequence[int]) -> list[int]:
    """Which of some global ids a search for prototypes still finds: none, if their erasure is complete.

    Args:
        store: The gallery.
        prototypes: What the erased identities looked like, from before.
        ids: Their global ids.
    """
    search = GallerySearch(store, folder=store.scratch_folder)
    found = {m.global_id for features in prototypes for m in search.search(features, _CLOSEST)}
    search.close()
    return sorted(found & set(ids))


def _erase(store: Gallery, place: Path, ids: Sequence[int], actor: str) -> ErasedResults:
    result = erase_tracks(place, ids, (), scope=crop_scope(store), crops_only=not _ours(store, place))
    detail = {"folder": str(place.absolute()), **result.counts, "films": len(result.films)}
    store.audit("erase in results", detail, actor=actor)
    return result


def _look_into_results(store: Gallery, erasure: Erasure, ids: Sequence[int]) -> None:
    """Keep those folders of results among the unreachable that do hold somebody, with what they hold."""
    for place in erasure.results:
        if place not in erasure.unreachable or is_cache(Path(place)):
            continue
        reason = _remains(store, Path(place), ids)
        if reason:
            erasure.unreachable[place] = reason
        else:
            del erasure.unreachable[place]


def _remains(store: Gallery, folder: Path, ids: Sequence[int]) -> str:
    """Why results are not done with; empty if they hold nobody of these people."""
    remedy = f"streamreid gallery forget ... --also {folder}"
    try:
        with ResultsFolder(folder):
            pass
    except FolderBusy:
        return f"a run is writing its results there; when it has ended: {remedy}"
    except OutputError:
        pass  # not ours to write to, but perhaps to read
    try:
        found = erase_people(folder, ids, scope=crop_scope(store), crops_only=not _ours(store, folder), change=False)
    except (OSError, ValueError, StreamReIDError) as error:
        return f"these results cannot be searched: {error}"
    if not found.holds:
        return ""
    kinds = [f"{number} {kind}" for kind, number in found.counts.items()]
    films = [f"{len(found.films)} films"] if found.films else []
    left = [f"'{path}': {why}" for path, why in found.left.items()]
    return f"these results still hold them ({', '.join([*kinds, *films, *left])}); erase them there: {remedy}"


def _shorten_summary(place: Path) -> None:
    """Take files that are gone out of the lists in ``summary.json``: names of pictures and films say who was where."""
    path = place / "summary.json"
    with suppress(FileNotFoundError, ValueError):
        data = json.loads(path.read_text(encoding="utf-8"))
        kept = [name for name in data.get("files", []) if (place / name).exists()]
        films = [film for film in data.get("films", []) if (place / film["file"]).exists()]
        if kept != data.get("files", []) or films != data.get("films", []):
            mode = path.stat().st_mode & 0o777
            write_json(path, {**data, "files": kept, **({"films": films} if "films" in data else {})})
            path.chmod(mode)


def is_cache(folder: Path) -> bool:
    """Whether a folder is a cache.

    Raises:
        DataError: It is a damaged one.
    """
    if not (folder / MANIFEST).exists():
        return False
    read_manifest(folder)
    return True


def _results_in(store: Gallery, folder: Path) -> list[Path]:
    """Folders of results of runs with a gallery: the folder itself, or those of a batch's recordings in it.

    Raises:
        DataError: There are none, and no cache either.
    """
    if _ours(store, folder) or has_crops(folder, crop_scope(store)):
        return [folder]
    inner = (
        sorted(path.parent for path in folder.glob(f"*/{GALLERY}") if store.origin in _galleries(path.parent))
        if folder.is_dir()
        else []
    )
    if inner or is_cache(folder):
        return inner
    raise DataError(
        f"'{folder}' holds neither a cache nor results of a run with gallery '{store.address}': global ids there may "
        "mean other people, so nothing was erased. If they are the same, pass the gallery that was used then, or "
        "delete the folder"
    )


def _ours(store: Gallery, folder: Path) -> bool:
    if (folder / GALLERY).exists():
        return store.origin in _galleries(folder)
    try:  # versions before gallery.json
        used = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["gallery"]["store"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return used == store.address or ("://" not in used and str(Path(used).resolve()) == store.place)


def _galleries(folder: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads((folder / GALLERY).read_text(encoding="utf-8"))["galleries"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
