"""Several runs over one gallery, cut out of a generated scene: what a gallery knows of people after restarts and over
midnight."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from _unique_observed import SEEN, SHARE
from _unique_scenes import Scene, load_engine, settings, updates

from streamreid.gallery import Gallery, TrackRecord
from streamreid.pipeline import Site
from streamreid.reports.histories import GalleryHistory, gallery_history
from streamreid.track_update import TrackUpdate
from streamreid.types import Frame, TrackKey

MIDNIGHT = 1_790_035_200.0
"""2026-09-22T00:00 UTC."""

SECONDS = 600.0


def cuts(runs: int) -> list[float]:
    """Seconds of a scene at which its runs begin and end; the day ends with the middle one."""
    return [SECONDS * k / runs for k in range(runs + 1)]


def day_begin(runs: int) -> float:
    """Capture time at which a scene begins, so that a day ends between two of its runs."""
    return MIDNIGHT - cuts(runs)[(runs + 1) // 2]


def remembered(item: Scene, out: Path, runs: int) -> GalleryHistory:
    """Follow the people of a scene, which was made, in several runs over one gallery; it is kept in the folder."""
    path = out / item.name / f"people-{runs}.db"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        config = settings(item.config.cameras).with_settings({"gallery.store": str(unfinished)})
        for first, last in itertools.pairwise(cuts(runs)):
            site = Site(config, load_engine(out))
            for update in _between(updates(out / item.name), first, last, day_begin(runs)):
                site.process(update)
            site.process(TrackUpdate(last=True))
            site.close()
        unfinished.rename(path)
    with Gallery.open(path, read_only=True) as store:
        return gallery_history(store)


def _between(items: Iterator[TrackUpdate], first: float, last: float, begin: float) -> Iterator[TrackUpdate]:
    """The updates of a run, as on the day that it was."""
    for item in items:
        if item.frame is not None and first <= item.frame.time < last:
            yield replace(
                item,
                frame=_later(item.frame, begin),
                observations=tuple(replace(seen, time=seen.time + begin) for seen in item.observations),
                released=tuple(replace(one, frame=_later(one.frame, begin)) for one in item.released),
            )


def _later(frame: Frame, seconds: float) -> Frame:
    return Frame.without_image(frame.camera, frame.index, frame.time + seconds, size=frame.size, clock=frame.clock)


def true_between(folder: Path, cameras: Sequence[str], first: float, last: float) -> int:
    """How many people were in any of the pictures for long enough, from ``first`` to before ``last``."""
    truth = np.load(folder / "truth.npz")
    here = np.isin(truth["camera"], cameras) & (truth["visibility"] >= SHARE)
    here &= (truth["time"] >= first) & (truth["time"] < last)
    moments = np.unique(np.stack([truth["person"][here], np.round(truth["time"][here] * 4)], 1), axis=0)
    _, frames = np.unique(moments[:, 0], return_counts=True)
    return int((frames >= SEEN * 4).sum())


def labelled_known_pairs(
    item: Scene, out: Path, runs: int, owners: Mapping[TrackKey, int], edges: Sequence[float]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """How often tracks have which log-odds with people who were known before their run.

    Args:
        item: The scene, which was followed in several runs.
        out: Where it is.
        runs: How many.
        owners: Who each track is in truth; -1 for nobody.
        edges: ``[B + 1]`` of the bins of log-odds.

    Returns:
        For people whom the track's camera had seen, and others: ``[2, B]`` pairs with somebody else and with the person
        it is, and ``[2]`` how many such pairs there are, also those that are not listed.
    """
    remembered(item, out, runs)
    with Gallery.open(out / item.name / f"people-{runs}.db", read_only=True) as store:
        records, links = store.track_records(), store.links()
    order = {run: number for number, run in enumerate(dict.fromkeys(r.run for r in records.values()))}
    tracks: dict[int, list[TrackRecord]] = defaultdict(list)
    for record in records.values():
        tracks[record.global_id].append(record)
    odds = dict(zip(map(tuple, links.people.tolist()), links.people_log_odds.tolist(), strict=True))
    found = {name: (np.zeros((2, len(edges) - 1)), np.zeros(2)) for name in ("known, one camera", "known, two cameras")}
    for row, record in records.items():
        who = owners.get((record.camera, record.track_id), -1)
        for person, theirs in tracks.items():
            before = [r for r in theirs if order[r.run] < order[record.run]]
            if who < 0 or not before:
                continue
            votes = Counter(owners.get((r.camera, r.track_id), -1) for r in before)
            same = int(votes.most_common(1)[0][0] == who)
            seen = record.camera in {r.camera for r in before}
            counts, number = found["known, one camera" if seen else "known, two cameras"]
            number[same] += 1
            if (row, person) in odds:
                counts[same] += np.histogram([odds[row, person]], edges)[0]
    return found
