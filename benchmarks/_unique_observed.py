"""What the program makes of a generated scene, for the benchmark of unique people: tracks, who is who, which tracks may
be one person, and who each track is in truth."""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from _unique_scenes import Scene, load_engine, settings, updates

import streamreid
from streamreid.association import TrackLinks
from streamreid.boxes import iou_matrix
from streamreid.pipeline import Site
from streamreid.places import PlaceLog, TrackSpan
from streamreid.sinks import FinalIdentities
from streamreid.types import TrackKey

SEEN, SHARE = 1.0, 0.25  # seconds in a picture, and share to be seen, from which somebody is to be counted
_OWN = 0.4  # IoU from which a box is somebody's


@dataclass(frozen=True, slots=True)
class Observed:
    """What the program makes of a scene.

    Args:
        log: When tracks were seen.
        identities: Who is who.
        links: Which tracks may be one person.
        lines: Crossings in that supervision's LineZone counts, by camera, of a line across the middle of the picture.
        owners: Who each track is in truth, by most of its boxes; -1 for nobody.
    """

    log: PlaceLog
    identities: FinalIdentities
    links: TrackLinks
    lines: dict[str, int]
    owners: dict[TrackKey, int]


def observed(item: Scene, out: Path) -> Observed:
    """Follow the people of a scene, which was made; kept in its folder until the program changes."""
    kept = out / item.name / "observed.pickle"
    newest = max(file.stat().st_mtime for file in Path(streamreid.__file__).parent.rglob("*.py"))
    if not kept.exists() or kept.stat().st_mtime < newest:
        found = _follow(item, out)
        kept.write_bytes(pickle.dumps(found))
    found = pickle.loads(kept.read_bytes())
    assert isinstance(found, Observed)
    return found


def _follow(item: Scene, out: Path) -> Observed:
    folder = out / item.name
    site = Site(settings(item.config.cameras), load_engine(out))
    spans: dict[TrackKey, list[float]] = {}
    votes: dict[TrackKey, Counter[int]] = defaultdict(Counter)
    lines: dict[str, sv.LineZone] = {}
    truth = _by_frame(np.load(folder / "truth.npz"))
    for update in updates(folder):
        for one in update.released:
            name, (wide, high), time = one.frame.camera, one.frame.size, one.frame.time
            line = lines.setdefault(name, sv.LineZone(start=sv.Point(wide // 2, high), end=sv.Point(wide // 2, 0)))
            if not len(one.tracks):
                continue
            line.trigger(sv.Detections(xyxy=one.tracks.boxes, tracker_id=one.tracks.ids))
            owners = _owners(one.tracks.boxes, *truth.get((name, round(time * 1000)), _NOBODY))
            for track, who in zip(one.tracks.ids.tolist(), owners, strict=True):
                votes[name, track][who] += 1
                span = spans.setdefault((name, track), [time, time, 0])
                span[1:] = [time, span[2] + 1]
        site.process(update)
    return Observed(
        PlaceLog(
            spans=tuple(TrackSpan(*key, span[0], span[1], int(span[2])) for key, span in spans.items()),
            watched={c.name: (0.0, 600.0) for c in site.config.cameras},
        ),
        site.identities,
        site.pair_links(),
        {name: line.in_count for name, line in lines.items()},
        {key: found.most_common(1)[0][0] for key, found in votes.items()},
    )


_NOBODY = (np.zeros(0, int), np.zeros((0, 2, 4), np.float32))


def _by_frame(truth: Any) -> dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]:
    """Who is in each frame, and their boxes, whole and visible."""
    camera, time = truth["camera"], np.round(truth["time"] * 1000).astype(int)
    person, boxes = truth["person"], truth["boxes"].astype(np.float32)
    order = np.lexsort((time, camera))
    new = np.flatnonzero((camera[order][1:] != camera[order][:-1]) | (time[order][1:] != time[order][:-1])) + 1
    return {(str(camera[i[0]]), int(time[i[0]])): (person[i], boxes[i]) for i in np.split(order, new) if len(i)}


def _owners(tracks: np.ndarray, person: np.ndarray, boxes: np.ndarray) -> list[int]:
    if not len(person):
        return [-1] * len(tracks)
    iou = np.maximum(iou_matrix(tracks, boxes[:, 0]), iou_matrix(tracks, boxes[:, 1]))
    best = iou.argmax(1)
    return np.where(iou[np.arange(len(tracks)), best] >= _OWN, person[best], -1).tolist()


def labelled_pairs(seen: Observed, edges: Sequence[float]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """How often pairs of tracks have which log-odds.

    Args:
        seen: Of a scene.
        edges: ``[B + 1]`` of the bins of log-odds.

    Returns:
        For tracks of one camera and of two: ``[2, B]`` pairs of two people and of one, and ``[2]`` how many pairs there
        are that can be one person, also those that are not listed.
    """
    key = [track.key for track in seen.links.tracks]
    owner = np.array([seen.owners[k] for k in key])
    camera = np.unique([k[0] for k in key], return_inverse=True)[1]
    start, end = (np.array([getattr(t, side) for t in seen.links.tracks]) for side in ("start", "end"))

    def told(i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return camera[i] != camera[j], (owner[i] == owner[j]) & (owner[i] >= 0)

    i, j = np.triu_indices(len(key), 1)
    other, same = told(i, j)
    possible = other | (np.minimum(end[i], end[j]) < np.maximum(start[i], start[j]))
    listed_other, listed_same = told(*seen.links.pairs.T)
    found = {}
    for name, two in (("one camera", False), ("two cameras", True)):
        of = [(listed_other == two) & (listed_same == one) for one in (False, True)]
        counts = np.stack([np.histogram(seen.links.log_odds[m], edges)[0] for m in of])
        number = np.array([(possible & (other == two) & (same == one)).sum() for one in (False, True)])
        found[name] = counts, number
    return found


def true_number(folder: Path, cameras: list[str]) -> int:
    """How many people were in any of the pictures for long enough."""
    truth = np.load(folder / "truth.npz")
    here = np.isin(truth["camera"], cameras) & (truth["visibility"] >= SHARE)
    moments = np.unique(np.stack([truth["person"][here], np.round(truth["time"][here] * 4)], 1), axis=0)
    _, frames = np.unique(moments[:, 0], return_counts=True)
    return int((frames >= SEEN * 4).sum())
