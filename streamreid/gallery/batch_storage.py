"""What a run writes to a gallery: track records, prototypes, events, pictures and counts, in one transaction."""

from __future__ import annotations

from streamreid.gallery.records import Batch
from streamreid.gallery.tables import Tables

__all__ = ["store_batch"]


def store_batch(tables: Tables, batch: Batch, *, most_prototypes: int) -> None:
    """Store a batch: all of it is there afterwards, or nothing.

    Track records of identities that were forgotten are left out; those of identities that were merged go to the
    present one.

    Args:
        tables: Of the gallery.
        batch: What a run knows.
        most_prototypes: Prototypes kept per identity.

    Raises:
        GalleryError: The gallery cannot be written.
    """
    if not batch:
        return
    now = tables.clock()
    with tables.database.writing():
        wanted = {r.global_id for r in batch.track_records.values()}
        present = tables.identities.resolve(sorted(wanted))
        forgotten = set(tables.identities.forgotten(wanted))
        new = sorted(wanted - set(present) - forgotten)
        tables.identities.create(new, now)
        present.update((i, i) for i in new)
        kept = {key: r for key, r in batch.track_records.items() if r.global_id in present}
        before, rows, continued = tables.track_records.put(kept, present, now)
        tables.prototypes.put(batch.prototypes, rows, continued=continued)
        tables.track_records.put_crops({rows[key]: jpeg for key, jpeg in batch.crops.items() if key in rows})
        tables.track_records.put_colours({rows[key]: seen for key, seen in batch.colours.items() if key in rows})
        touched = {present[r.global_id] for r in kept.values()}
        tables.prototypes.cap(touched, most_prototypes)
        events = [e for e in batch.events if e.global_id not in forgotten and e.other_id not in forgotten]
        tables.events.add(batch.run, events, now)
        tables.hourly_counts.put(batch.run, batch.counts, now)
        emptied = tables.identities.drop_empty(before - touched)
        touched |= _merge_as_decided(tables, batch, emptied, most_prototypes)
        known = {who for found in batch.links.values() for who in found.people}
        tables.links.put(batch.run, batch.links, tables.identities.resolve(sorted(known)))
        tables.changes.add([(i, "merge" if i in emptied else "write") for i in sorted(touched | before)])
        if new:
            tables.metadata.skip_ids(new[-1])


def _merge_as_decided(tables: Tables, batch: Batch, emptied: set[int], most_prototypes: int) -> set[int]:
    """Let identities that the association merged live on under the other's global id, with what earlier runs knew.

    Args:
        tables: Of the gallery.
        batch: With the events.
        emptied: Identities that have lost all track records; those that are merged here are added.
        most_prototypes: Prototypes kept per identity.

    Returns:
        Global ids of the identities they are part of now.
    """
    joined: set[int] = set()
    for event in batch.events:
        if event.kind != "merge" or event.other_id == event.global_id:
            continue
        present = tables.identities.resolve([event.global_id, event.other_id])
        keep, other = present.get(event.global_id, 0), present.get(event.other_id, 0)
        if keep and other and keep != other:
            tables.identities.join(keep, other)
            emptied.add(other)
            joined.add(keep)
        elif keep and event.other_id in emptied:
            tables.identities.add_alias(event.other_id, keep)
    tables.prototypes.cap(joined, most_prototypes)
    return joined
