"""Search of a gallery by pictures or by one of its identities: who is this, when and where were they seen."""

from __future__ import annotations

import getpass
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreid.config import CameraConfig, EngineConfig, GalleryConfig
from streamreid.errors import ConfigError, SourceError
from streamreid.features.similarity import Calibration
from streamreid.gallery import Gallery, GallerySearch, Match, open_gallery
from streamreid.gallery.match_posterior import PRIOR, identify, views_of
from streamreid.gallery.search_report import MatchedIdentity, matched_identities
from streamreid.pipeline.run_gallery import stamp_of
from streamreid.reid import Embedder, open_embedder, shipped_engines
from streamreid.reid.feature_extractor import Picture, read_image
from streamreid.sources import open_source
from streamreid.types import Detections, Frame, Image, PartFeatures

__all__ = [
    "GalleryQuery",
    "SearchResult",
    "describe_pictures",
    "open_engine",
    "open_search",
    "operator",
    "query_gallery",
    "read_video_frame",
    "search_gallery",
]

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class GalleryQuery:
    """What is searched for.

    Args:
        features: Part features of one person, one row per picture or prototype.
        calibration: From similarity to probability.
        audit: What the audit log says of it: an identity, or hashes of pictures, never the pictures.
        identity: Global id under which it is kept, if it is an identity of the gallery; 0 if it is not.
    """

    features: PartFeatures
    calibration: Calibration
    audit: Mapping[str, Any]
    identity: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to a search.

    Args:
        gallery: Address of the gallery, without password.
        query: What the audit log says of the query.
        prototypes: How many prototypes were searched.
        identities: Identities that look like the query, the most probable first. The probability of each is shared with
            all others and with "none of these".
        audited: Whether the search is in the gallery's audit log; it is not where the gallery cannot be written.
    """

    gallery: str
    query: Mapping[str, Any]
    prototypes: int
    identities: tuple[MatchedIdentity, ...]
    audited: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON values, as ``streamreid search --json`` prints them."""
        return {
            "schema": 1,
            "gallery": self.gallery,
            "query": dict(self.query),
            "views_searched": self.prototypes,
            "identities": [identity.as_dict() for identity in self.identities],
        }


def search_gallery(
    pictures: Picture | Sequence[Picture] | None = None,
    *,
    gallery: Gallery | GalleryConfig | str | Path,
    identity: int | None = None,
    boxes: Sequence[Box] | None = None,
    engine: str | Path | Embedder | None = None,
    top: int = 10,
    min_probability: float = 0.0,
    prior: float = PRIOR,
    cameras: Collection[str] = (),
    actor: str | None = None,
) -> SearchResult:
    """Find the identities of a gallery that look like a person: who, when and where, how probably.

    What is past its retention is erased before the search, and the search is noted in the gallery's audit log, unless
    the gallery cannot be written.

    Args:
        pictures: One or several pictures of one person: paths, or arrays ``[H, W, 3]`` uint8 in BGR order.
        gallery: An open gallery, which stays open; or a file, a ``postgresql://`` address, or the section of a
            configuration.
        identity: Search for those who look like this identity of the gallery instead; it is left out itself.
        boxes: Where the person is in each picture: left, top, right, bottom in pixels; None: the picture is the crop.
        engine: An engine's name or folder, or an open embedder, which stays open; None for the one that the gallery's
            features were made with.
        top: Most identities.
        min_probability: Leave out those less probable, in [0, 1]; 0 leaves out none.
        prior: Probability in (0, 1], before looking, that the person is in the gallery at all; 1 if that is certain.
        cameras: Only track records of these cameras, and identities that have one; empty for all.
        actor: Who searches, for the audit log; None for the user of this process.

    Raises:
        ConfigError: Neither or both of pictures and identity are given, a wrong number of boxes, nobody can be seen, or
            the gallery is empty.
        EngineMismatchError: The engine is not the one of the gallery's features.
        GalleryError: The gallery cannot be opened or read, or has no prototypes of the identity.
        SourceError: A picture cannot be read.

    Examples:
        >>> from streamreid import search_gallery
        >>> result = search_gallery("person.jpg", gallery="people.db")  # doctest: +SKIP
        >>> for found in result.identities:  # doctest: +SKIP
        ...     print(found.global_id, found.name, found.probability, [m.record.camera for m in found.track_records])
    """
    if (pictures is None) == (identity is None):
        raise ConfigError("search_gallery: give either pictures of a person or the identity to search for")
    if top < 1:
        raise ConfigError(f"search_gallery: top must be at least 1, got {top}")
    if not 0 < prior <= 1:
        raise ConfigError(f"search_gallery: prior must be above 0 and at most 1, got {prior}")
    with _opened(gallery) as store:
        if not store.read_only:
            store.expire()
        query = query_gallery(store, pictures, boxes=boxes, identity=identity, engine=engine)
        prototypes, matches = _matches(store, query, prior, top)
        found = matched_identities(store, matches, query.calibration, cameras=cameras, least=min_probability)
        if not store.read_only:
            detail = {**query.audit, "found": [i.global_id for i in found]}
            store.audit("search", detail, actor=operator() if actor is None else actor)
        return SearchResult(store.address, query.audit, prototypes, tuple(found), not store.read_only)


def _matches(store: Gallery, query: GalleryQuery, prior: float, top: int) -> tuple[int, list[Match]]:
    """How many prototypes were searched, and the identities that look like the query."""
    search = open_search(store, query.calibration)
    try:
        identity = query.identity or None
        return len(search), identify(store, search, query.features, identity=identity, prior=prior, top=top)
    finally:
        search.close()


@contextmanager
def _opened(gallery: Gallery | GalleryConfig | str | Path) -> Iterator[Gallery]:
    """An open gallery as it is; another one is opened, for reading only where its file cannot be written."""
    if isinstance(gallery, Gallery):
        yield gallery
        return
    config = gallery if isinstance(gallery, GalleryConfig) else GalleryConfig(store=str(gallery))
    place = config.store or ""
    read_only = bool(place) and "://" not in place and not os.access(Path(place).expanduser(), os.W_OK)
    with open_gallery(config, read_only=read_only) as store:
        yield store


def query_gallery(
    store: Gallery,
    pictures: Picture | Sequence[Picture] | None = None,
    *,
    boxes: Sequence[Box] | None = None,
    identity: int | None = None,
    engine: str | Path | Embedder | None = None,
) -> GalleryQuery:
    """What to search a gallery for. The parameters and errors are those of ``search_gallery``."""
    if identity is not None:
        features = views_of(store, identity)
        calibration = store.calibration() or _embedder(store, engine).calibration
        return GalleryQuery(features, calibration, {"identity": identity}, store.resolve(identity))
    images = [read_image(p) if isinstance(p, str | Path) else p for p in _listed(pictures)]
    embedder = _embedder(store, engine)
    features = describe_pictures(embedder, images, boxes)
    calibration = store.calibration() or embedder.calibration
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    audit: dict[str, Any] = {"picture_sha256": hashes[0] if len(hashes) == 1 else hashes}
    if boxes is not None:
        audit["box"] = list(boxes[0]) if len(boxes) == 1 else [list(box) for box in boxes]
    return GalleryQuery(features, calibration, audit)


def _listed(pictures: Picture | Sequence[Picture] | None) -> list[Picture]:
    if pictures is None:
        return []
    return list(pictures) if isinstance(pictures, (list, tuple)) else [pictures]  # type: ignore[list-item]


def describe_pictures(embedder: Embedder, images: Sequence[Image], boxes: Sequence[Box] | None = None) -> PartFeatures:
    """Part features of one person in one or several pictures, one row for each.

    Args:
        embedder: The engine.
        images: ``[H, W, 3]`` uint8 in BGR order.
        boxes: Where the person is in each; None: the whole picture.

    Raises:
        ConfigError: There is no picture, not one box for each picture, or no part of a person can be seen in one.
    """
    if not images:
        raise ConfigError("whom to search for? Give at least one picture")
    if boxes is not None and len(boxes) != len(images):
        raise ConfigError(f"{len(images)} pictures need as many boxes, got {len(boxes)}")
    frames = [Frame("picture", number, 0.0, image) for number, image in enumerate(images)]
    chosen = boxes or [(0.0, 0.0, float(f.size[0]), float(f.size[1])) for f in frames]
    rows = embedder(frames, [Detections.from_arrays([box]) for box in chosen])
    if not all(row.visibility.any() for row in rows):
        raise ConfigError(
            "nobody can be seen there: the box is outside the picture, or the engine found no part of a person"
        )
    return PartFeatures.concatenate(rows)


def _embedder(store: Gallery, engine: str | Path | Embedder | None) -> Embedder:
    """An open embedder as it is, if the gallery's features are its own; else the engine is opened."""
    if engine is None or isinstance(engine, str | Path):
        return open_engine(store, engine)
    store.claim(stamp_of(engine))
    return engine


def open_engine(store: Gallery, engine: str | Path | None = None) -> Embedder:
    """The engine that the gallery's features were made with.

    Args:
        store: The gallery.
        engine: Name or folder, if it is not one that ships with streamreid.

    Raises:
        EngineMismatchError: Another one was named.
        ConfigError: The gallery is empty.
    """
    stamp = store.engine()
    if stamp is None:
        raise ConfigError(f"gallery '{store.address}' is empty: nothing can be found in it")
    chosen = str(engine) if engine is not None else (stamp.name if stamp.name in shipped_engines() else "auto")
    embedder = open_embedder(EngineConfig(model=chosen, min_height=0.0))
    store.claim(stamp_of(embedder))
    return embedder


def open_search(store: Gallery, calibration: Calibration | None = None) -> GallerySearch:
    """An exact search over all prototypes; they lie in a nameless file in the gallery's scratch folder."""
    return GallerySearch(store, calibration, folder=store.scratch_folder)


def read_video_frame(video: str, seconds: float) -> Image:
    """``[H, W, 3]`` uint8 BGR: the frame of a video at a time.

    Raises:
        SourceError: The video cannot be read, or is shorter.
    """
    with open_source(CameraConfig(name="video", uri=video, start=seconds, frames=1)) as source:
        for frame in source:
            return frame.image
    raise SourceError(f"video '{video}' has no frame at {seconds:g} s")


def operator() -> str:
    """The user of this process, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
