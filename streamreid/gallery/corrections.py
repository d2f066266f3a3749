"""What operators correct: names, and who is the same person as whom. Later runs and their clustering respect it."""

from __future__ import annotations

from collections.abc import Sequence

from streamreid.errors import GalleryError
from streamreid.gallery.tables import Tables

__all__ = ["merge", "rename", "separate", "split"]


def rename(tables: Tables, global_id: int, name: str) -> None:
    """Give an identity a name; empty takes it away. See ``Gallery.rename``."""
    with tables.database.writing():
        present = tables.identities.require(global_id)
        tables.identities.rename(present, name.strip())
        tables.changes.add([(present, "rename")])


def merge(tables: Tables, keep: int, other: int, *, force: bool, most_prototypes: int) -> None:
    """Make ``other`` part of ``keep``. See ``Gallery.merge``.

    Args:
        tables: Of the gallery.
        keep: Global id.
        other: Global id.
        force: Even if they were said to be different people.
        most_prototypes: Prototypes kept per identity.
    """
    with tables.database.writing():
        one, two = tables.identities.require(keep), tables.identities.require(other)
        if one == two:
            raise GalleryError(f"{keep} and {other} are one identity already ({one})")
        if tables.constraints.are_different(one, two) and not force:
            raise GalleryError(
                f"identities {keep} and {other} were said to be different people; pass --force to say that this "
                "was wrong"
            )
        tables.identities.join(one, two)
        tables.constraints.put("same", one, two)
        tables.prototypes.cap([one], most_prototypes)
        tables.changes.add([(one, "merge"), (two, "merge")])


def split(tables: Tables, global_id: int, rows: Sequence[int]) -> int:
    """Make some track records of an identity another person. See ``Gallery.split``."""
    with tables.database.writing():
        present = tables.identities.require(global_id)
        mine = tables.track_records.rows_of(present)
        wanted = {int(r) for r in rows}
        if not wanted or not wanted <= mine:
            raise GalleryError(
                f"identity {present} has the appearances {', '.join(map(str, sorted(mine)))}; cannot split off "
                f"{', '.join(map(str, sorted(wanted - mine))) or 'none'} (see `streamreid gallery show {present}`)"
            )
        if wanted == mine:
            raise GalleryError(f"these are all appearances of identity {present}; leave at least one")
        new = tables.metadata.reserve_ids(1)
        tables.identities.create([new], tables.clock())
        tables.track_records.assign(wanted, new)
        tables.constraints.put("different", present, new)
        tables.changes.add([(present, "split"), (new, "split")])
    return new


def separate(tables: Tables, one: int, other: int) -> None:
    """Say that two identities are different people. See ``Gallery.separate``."""
    with tables.database.writing():
        a, b = tables.identities.require(one), tables.identities.require(other)
        if a == b:
            raise GalleryError(
                f"{one} and {other} are one identity now ({a}); use `streamreid gallery split` to part it"
            )
        tables.constraints.put("different", a, b)
        tables.changes.add([(a, "constraint"), (b, "constraint")])
