"""The answer to a search as values, as JSON and as an HTML sheet: who, where and when, how probably."""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.errors import OutputError
from streamreid.features.similarity import Calibration
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.records import TrackRecord
from streamreid.gallery.search import Match

__all__ = [
    "MatchedIdentity",
    "MatchedTrackRecord",
    "clock_text",
    "matched_identities",
    "utc_text",
    "write_sheet",
]

_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;
  padding:0 1rem;color:#1c1c1c;background:#fafafa}
h1{font-size:1.35rem}h2{font-size:1.05rem;margin:0}
section{background:#fff;border:1px solid #ddd;border-radius:.5rem;padding:.8rem 1rem;margin:.8rem 0}
.head{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap}
.bar{flex:1;height:.5rem;background:#e8e8e8;border-radius:.3rem;
  min-width:6rem}
.bar i{display:block;height:100%;border-radius:.3rem;background:#2f6f4f}
table{border-collapse:collapse;width:100%;margin-top:.5rem}
td,th{text-align:left;padding:.25rem .6rem .25rem 0;border-top:1px solid #eee;vertical-align:middle}
th{border:0;color:#666;font-weight:500}
img{height:6rem;border-radius:.3rem;display:block}.quiet{color:#666}
@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}
  section{background:#222;border-color:#3a3a3a}.bar{background:#3a3a3a}td{border-color:#333}}"""


@dataclass(frozen=True, slots=True)
class MatchedTrackRecord:
    """When and where a matched identity was seen, and how much it looked like the query then.

    Args:
        row: Row id of the track record; pictures are stored by it.
        record: The track record.
        similarity: Best part similarity of one of its prototypes with the query, in [-1, 1]; None if none of them is
            among the best.
        probability: Probability in (0, 1) that these two show one person, as if nobody else were there; None likewise.
    """

    row: int
    record: TrackRecord
    similarity: float | None
    probability: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON values, rounded, as ``streamreid search --json`` prints them."""
        return {
            "appearance": self.row,
            "camera": self.record.camera,
            "start": round(self.record.start, 3),
            "end": round(self.record.end, 3),
            "stored": utc_text(self.record.stored),
            "probability": None if self.probability is None else round(self.probability, 4),
            "link_probability": round(self.record.probability, 4),
            "track_id": self.record.track_id,
            "run": self.record.run,
        }


@dataclass(frozen=True, slots=True)
class MatchedIdentity:
    """An identity of the gallery that looks like the query.

    Args:
        global_id: The identity.
        name: Given by an operator; empty if none.
        probability: Probability in [0, 1] that the query shows it, given all others.
        similarity: Best part similarity of one of its prototypes with the query, in [-1, 1].
        common: Share of parts that both show, in [0, 1].
        track_records: When and where it was seen, most like the query first.
    """

    global_id: int
    name: str
    probability: float
    similarity: float
    common: float
    track_records: tuple[MatchedTrackRecord, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values, rounded, as ``streamreid search --json`` prints them."""
        return {
            "global_id": self.global_id,
            "name": self.name,
            "probability": round(self.probability, 4),
            "similarity": round(self.similarity, 4),
            "parts_in_common": round(self.common, 3),
            "appearances": [m.as_dict() for m in self.track_records],
        }


def matched_identities(
    store: Gallery,
    matches: Sequence[Match],
    calibration: Calibration,
    *,
    cameras: Collection[str] = (),
    least: float = 0.0,
) -> list[MatchedIdentity]:
    """Matches with their names and track records, in their order.

    Args:
        store: Where they were found.
        matches: From ``GallerySearch.search``, with the probability given all of them.
        calibration: From similarity to the probability of a pair.
        cameras: Only track records of these; empty for all.
        least: Least probability of an identity.

    Raises:
        GalleryError: The gallery cannot be read.
    """
    records = {r.global_id: r for r in store.identities([m.global_id for m in matches])}
    result = []
    for match in matches:
        record = records.get(match.global_id)
        if record is None or match.probability < least:
            continue
        tracks = _track_records(store, match, calibration, cameras)
        if tracks:
            result.append(
                MatchedIdentity(
                    match.global_id, record.name, match.probability, match.similarity, match.common, tuple(tracks)
                )
            )
    return result


def _track_records(
    store: Gallery, match: Match, calibration: Calibration, cameras: Collection[str]
) -> list[MatchedTrackRecord]:
    similarity = _similarity_by_row(store, match)
    found = []
    for row, record in store.track_records([match.global_id]).items():
        if cameras and record.camera not in cameras:
            continue
        alike = similarity.get(row)
        chance = None if alike is None else float(calibration.probability(np.array([alike], np.float32))[0])
        found.append(MatchedTrackRecord(row, record, alike, chance))
    return sorted(found, key=lambda m: (-round(m.probability or 0.0, 4), m.record.start))


def _similarity_by_row(store: Gallery, match: Match) -> dict[int, float]:
    """Best similarity of a prototype of each track record, for those of which one is among the best."""
    similarity = dict(match.prototypes)
    found: dict[int, float] = {}
    for block in store.prototypes(ids=[match.global_id]):
        for prototype, row in zip(block.ids.tolist(), block.track_records.tolist(), strict=True):
            if prototype in similarity:
                found[row] = max(found.get(row, -1.0), similarity[prototype])
    return found


def utc_text(seconds: float) -> str:
    """UTC seconds as ISO 8601."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_text(seconds: float) -> str:
    """A capture time: a date for live cameras, hours, minutes and seconds for files."""
    if seconds >= 1e8:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    return ("-" if seconds < 0 else "") + f"{hours}:{minutes:02d}:{rest:04.1f}"


def write_sheet(path: Path, title: str, found: Sequence[MatchedIdentity], pictures: Mapping[int, bytes]) -> None:
    """An HTML page that needs nothing else.

    Args:
        path: The file.
        title: What was searched for.
        found: From ``matched_identities``.
        pictures: JPEG by row id of the track record, where stored.

    Raises:
        OutputError: It cannot be written.
    """
    body = "".join(_section(identity, pictures) for identity in found) or "<p class=quiet>Nobody alike.</p>"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>{body}</html>\n"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}. Choose another file (--html).") from error


def _section(identity: MatchedIdentity, pictures: Mapping[int, bytes]) -> str:
    percent = 100 * round(identity.probability, 4)
    name = f" {html.escape(identity.name)}" if identity.name else ""
    rows = "".join(_row(m, pictures.get(m.row)) for m in identity.track_records)
    return (
        f"<section><div class=head><h2>#{identity.global_id}{name}</h2><span>{percent:.1f} %</span>"
        f"<span class=quiet>similarity {identity.similarity:.3f}, "
        f"{100 * identity.common:.0f} % of the parts in common</span>"
        f'<span class=bar><i style="width:{percent:.1f}%"></i></span></div>'
        "<table><tr><th><th>camera<th>from<th>to<th>like the query"
        f"<th>belongs to #{identity.global_id}<th>stored</tr>{rows}</table></section>"
    )


def _row(match: MatchedTrackRecord, picture: bytes | None) -> str:
    record = match.record
    image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">' if picture else ""
    alike = "" if match.probability is None else f"{100 * match.probability:.1f} %"
    return (
        f"<tr><td>{image}<td>{html.escape(record.camera)}<td>{clock_text(record.start)}<td>{clock_text(record.end)}"
        f"<td>{alike}<td>{100 * record.probability:.0f} %<td class=quiet>{utc_text(record.stored)}</tr>"
    )
