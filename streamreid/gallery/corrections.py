"""What operators correct: names, who is staff, and who is the same person as whom. Later runs and their clustering
respect it, and each of it can be undone."""

from __future__ import annotations

from collections.abc import Sequence

from streamreid.errors import CorrectionError, GalleryError
from streamreid.gallery.records import GalleryCorrection
from streamreid.gallery.tables import Tables

__all__ = ["merge", "rename", "separate", "split", "tag_staff", "undo", "unmerge"]


def rename(tables: Tables, global_id: int, name: str) -> None:
    """Give an identity a name; empty takes it away. See ``Gallery.rename``."""
    with tables.database.writing():
        present = tables.identities.require(global_id)
        before, _ = tables.identities.tags(present)
        tables.identities.rename(present, name.strip())
        tables.corrections.add("rename", present, detail={"before": before})
        tables.changes.add([(present, "rename")])


def tag_staff(tables: Tables, global_id: int, *, staff: bool) -> None:
    """Say that somebody works there, or take it back. See ``Gallery.tag_staff``."""
    with tables.database.writing():
        present = tables.identities.require(global_id)
        _, before = tables.identities.tags(present)
        tables.identities.tag_staff(present, staff)
        tables.corrections.add("staff", present, detail={"before": before, "staff": staff})
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
        detail = {
            "rows": sorted(tables.track_records.rows_of(two)),
            "aliases": sorted(tables.identities.aliases([two])),
            "tags": [tables.identities.tags(one), tables.identities.tags(two)],
            "different": tables.constraints.are_different(one, two),
        }
        tables.identities.join(one, two)
        tables.constraints.put("same", one, two)
        tables.prototypes.cap([one], most_prototypes)
        tables.corrections.add("merge", one, two, detail)
        tables.changes.add([(one, "merge"), (two, "merge")])


def unmerge(tables: Tables, keep: int, other: int, rows: Sequence[int], aliases: Sequence[int] = ()) -> None:
    """Part what was merged: ``other`` is an identity of its own again, with some track records.

    Args:
        tables: Of the gallery; the transaction is the caller's.
        keep: Global id that ``other`` leads to.
        other: Global id that is an alias.
        rows: Track records that were its.
        aliases: Global ids that led to it.

    Raises:
        GalleryError: ``other`` is not part of ``keep``.
    """
    present = tables.identities.resolve([other]).get(other, 0)
    if present in (0, other) or present != tables.identities.require(keep):
        raise GalleryError(f"identity {other} is not part of {keep}")
    mine = tables.track_records.rows_of(present)
    tables.identities.revive(other, aliases, tables.clock())
    tables.links.part(present, other)
    tables.track_records.assign(sorted(set(rows) & mine), other)
    tables.constraints.take_back(keep, other)
    tables.changes.add([(present, "split"), (other, "split")])


def split(tables: Tables, global_id: int, rows: Sequence[int], *, new: int | None = None) -> int:
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
        new = tables.metadata.reserve_ids(1) if new is None else new
        tables.identities.create([new], tables.clock())
        tables.links.part(present, new)
        tables.track_records.assign(wanted, new)
        tables.constraints.put("different", present, new)
        tables.corrections.add("split", present, new, {"rows": sorted(wanted)})
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
        known = tables.constraints.are_different(a, b)
        tables.constraints.put("different", a, b)
        tables.corrections.add("different", a, b, {"before": known})
        tables.changes.add([(a, "constraint"), (b, "constraint")])


def undo(tables: Tables, number: int | None, *, most_prototypes: int) -> GalleryCorrection:
    """Undo a correction. See ``Gallery.undo``."""
    with tables.database.writing():
        open_ones = {c.number: c for c in tables.corrections.records() if not c.undone}
        if not open_ones:
            raise CorrectionError(f"gallery '{tables.database.address}' has no correction to undo")
        if number is not None and number not in open_ones:
            raise CorrectionError(
                f"gallery '{tables.database.address}' has no correction {number} that can be undone; it has "
                f"{', '.join(map(str, list(open_ones)[-20:]))}"
            )
        found = open_ones[max(open_ones) if number is None else number]
        try:
            _undo(tables, found, most_prototypes)
        except GalleryError as error:
            raise CorrectionError(f"correction {found.number} cannot be undone: {error}") from error
        tables.corrections.note_undone(found.number)
    return found


def _undo(tables: Tables, found: GalleryCorrection, most_prototypes: int) -> None:
    identities, detail = tables.identities, found.detail
    match found.kind:
        case "rename":
            identities.rename(identities.require(found.one), str(detail["before"]))
            tables.changes.add([(found.one, "rename")])
        case "staff":
            identities.tag_staff(identities.require(found.one), bool(detail["before"]))
            tables.changes.add([(found.one, "rename")])
        case "different":
            if not detail["before"]:
                tables.constraints.take_back(found.one, found.other)
            tables.changes.add([(found.one, "constraint"), (found.other, "constraint")])
        case "merge":
            unmerge(tables, found.one, found.other, detail["rows"], detail["aliases"])
            for who, (name, staff) in zip((found.one, found.other), detail["tags"], strict=True):
                identities.rename(who, name)
                identities.tag_staff(who, bool(staff))
            if detail["different"]:
                tables.constraints.put("different", found.one, found.other)
            tables.changes.add([(found.one, "rename"), (found.other, "rename")])
        case "split":
            one, new = identities.require(found.one), identities.require(found.other)
            if one != new:
                identities.join(one, new)
                tables.prototypes.cap([one], most_prototypes)
            tables.constraints.take_back(found.one, found.other)
            tables.changes.add([(one, "merge"), (new, "merge")])
