"""The answer to a search: who, where and when, how probably; as JSON values and as an HTML sheet."""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.errors import OutputError
from streamreid.features.similarity import Calibration
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.records import TrackRecord
from streamreid.gallery.search import Match
from streamreid.types import IntArray

__all__ = ["answer", "clock_text", "utc_text", "write_sheet"]

_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;
  padding:0 1rem;color:#1c1c1c;background:#fafafa}
h1{font-size:1.35rem}h2{font-size:1.05rem;margin:0}
section{background:#fff;border:1px solid #ddd;border-radius:.5rem;padding:.8rem 1rem;margin:.8rem 0}
.head{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap}.bar{flex:1;height:.5rem;background:#e8e8e8;border-radius:.3rem;min-width:6rem}
.bar i{display:block;height:100%;border-radius:.3rem;background:#2f6f4f}
table{border-collapse:collapse;width:100%;margin-top:.5rem}
td,th{text-align:left;padding:.25rem .6rem .25rem 0;border-top:1px solid #eee;vertical-align:middle}
th{border:0;color:#666;font-weight:500}
img{height:6rem;border-radius:.3rem;display:block}.quiet{color:#666}
@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}section{background:#222;border-color:#3a3a3a}.bar{background:#3a3a3a}td{border-color:#333}}"""


def answer(
    store: Gallery,
    matches: Sequence[Match],
    calibration: Calibration,
    *,
    cameras: Collection[str] = (),
    least: float = 0.0,
) -> list[dict[str, Any]]:
    """Matches with their appearances, most probable first.

    Args:
        store: Where they were found.
        matches: From ``GallerySearch.search``.
        calibration: Turns similarity into probability.
        cameras: Only appearances of these; empty for all.
        least: Least probability of an identity.
    """
    records = {r.global_id: r for r in store.identities([m.global_id for m in matches])}
    result = []
    for match in matches:
        record = records.get(match.global_id)
        if record is None or match.probability < least:
            continue
        rows = store.track_records([match.global_id])
        likeness = _by_appearance(store, match)
        listed = [
            _appearance(row, a, likeness.get(row), calibration)
            for row, a in rows.items()
            if not cameras or a.camera in cameras
        ]
        if not listed:
            continue
        listed.sort(key=lambda a: (-(a["probability"] or 0.0), a["start"]))
        result.append(
            {
                "global_id": match.global_id,
                "name": record.name,
                "probability": round(match.probability, 4),
                "similarity": round(match.similarity, 4),
                "parts_in_common": round(match.common, 3),
                "appearances": listed,
            }
        )
    return result


def _by_appearance(store: Gallery, match: Match) -> dict[int, float]:
    """Best similarity of a view of each appearance, for those of which a view is among the best."""
    similarity = dict(match.prototypes)
    found: dict[int, float] = {}
    for block in store.prototypes(ids=[match.global_id]):
        for view, row in zip(_list(block.ids), _list(block.track_records), strict=True):
            if view in similarity:
                found[row] = max(found.get(row, -1.0), similarity[view])
    return found


def _list(values: IntArray) -> list[int]:
    return [int(v) for v in values]


def _appearance(row: int, a: TrackRecord, similarity: float | None, calibration: Calibration) -> dict[str, Any]:
    probability = (
        None if similarity is None else round(float(calibration.probability(np.array([similarity], np.float32))[0]), 4)
    )
    return {
        "appearance": row,
        "camera": a.camera,
        "start": round(a.start, 3),
        "end": round(a.end, 3),
        "stored": utc_text(a.stored),
        "probability": probability,
        "link_probability": round(a.probability, 4),
        "track_id": a.track_id,
        "run": a.run,
    }


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


def write_sheet(path: Path, title: str, found: Sequence[Mapping[str, Any]], pictures: Mapping[int, bytes]) -> None:
    """An HTML page that needs nothing else.

    Args:
        path: The file.
        title: What was searched for.
        found: From :func:`answer`.
        pictures: JPEG by appearance, where stored.

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


def _section(identity: Mapping[str, Any], pictures: Mapping[int, bytes]) -> str:
    percent = 100 * float(identity["probability"])
    name = f" {html.escape(str(identity['name']))}" if identity["name"] else ""
    rows = "".join(_row(a, pictures.get(a["appearance"])) for a in identity["appearances"])
    return (
        f"<section><div class=head><h2>#{identity['global_id']}{name}</h2><span>{percent:.1f} %</span>"
        f"<span class=quiet>similarity {identity['similarity']:.3f}, {100 * identity['parts_in_common']:.0f} % of the "
        "parts in common</span>"
        f'<span class=bar><i style="width:{percent:.1f}%"></i></span></div>'
        "<table><tr><th><th>camera<th>from<th>to<th>like the query<th>belongs to "
        f"#{identity['global_id']}<th>stored</tr>{rows}</table></section>"
    )


def _row(a: Mapping[str, Any], picture: bytes | None) -> str:
    image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">' if picture else ""
    alike = "" if a["probability"] is None else f"{100 * a['probability']:.1f} %"
    return (
        f"<tr><td>{image}<td>{html.escape(a['camera'])}<td>{clock_text(a['start'])}<td>{clock_text(a['end'])}<td>{alike}"
        f"<td>{100 * a['link_probability']:.0f} %<td class=quiet>{a['stored']}</tr>"
    )
