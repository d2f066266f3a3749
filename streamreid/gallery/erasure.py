"""How people are erased on request: everywhere that is known, with a search for remains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from streamreid.gallery.copy_registry import forget_in_copies
from streamreid.gallery.erasure_proof import ByteSignatures, find_residue
from streamreid.gallery.records import Erasure
from streamreid.gallery.tables import Tables

if TYPE_CHECKING:
    from streamreid.gallery.gallery import Gallery

__all__ = ["forget"]


@dataclass(slots=True)
class _Erased:
    """What a transaction erased, with the bytes to search for afterwards."""

    ids: list[int]
    rows: dict[str, int] = field(default_factory=dict)
    signatures: ByteSignatures = field(default_factory=ByteSignatures)


def forget(
    tables: Tables,
    ids: Sequence[int],
    *,
    actor: str,
    open_copy: Callable[[str], Gallery],
    visited: frozenset[str] = frozenset(),
) -> Erasure:
    """Erase identities here and in all known copies, and search for remains.

    Args:
        tables: Of the gallery.
        ids: Global ids.
        actor: For the audit log.
        open_copy: Opens a copy that is a gallery itself: a path, or an address without password.
        visited: Galleries in which they are erased already.

    Raises:
        GalleryError: The gallery cannot be written, or another process reads what is to be overwritten.
    """
    database = tables.database
    erased = _erase(tables, ids, actor)
    result = Erasure(erased.ids, erased.rows)
    database.scrub(thorough=not database.files())  # what cannot be searched is rewritten in any case
    result.remains, result.searched = find_residue(database.files(), erased.signatures)
    if result.remains:
        database.scrub(thorough=True)
        result.remains, result.searched = find_residue(database.files(), erased.signatures)
    known = tables.copies.records()
    forget_in_copies(known, result, open_copy, erased.signatures, visited=visited | {database.place})
    tables.copies.delete([place for place in result.done if "://" not in place and not Path(place).exists()])
    return result


def _erase(tables: Tables, ids: Sequence[int], actor: str) -> _Erased:
    identities = tables.identities
    with tables.database.writing():
        asked = {int(i) for i in ids}
        present = set(identities.resolve(sorted(asked)).values())
        merged = identities.aliases(present)
        # An id that nothing is known of (expired, or erased here before a copy was made) is noted as well: it must not
        # come back.
        everyone = sorted(asked | present | merged)
        erased = _Erased(everyone)
        erased.signatures = ByteSignatures(tables.prototypes.stored_features(present)) | ByteSignatures(
            tables.track_records.stored_crops(present), pictures=True
        )
        erased.rows = tables.delete_identities(present)
        tables.delete_history(merged)
        identities.note_forgotten(everyone, tables.clock())
        tables.changes.add([(i, "forget") for i in everyone])
        tables.audit.add("forget", {"identities": everyone, "rows": sum(erased.rows.values())}, actor)
    return erased
