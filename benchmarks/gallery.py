"""Speed, size and recall of a gallery by its number of views, next to faiss IndexFlatIP on the concatenated vectors.

    python benchmarks/gallery.py [--sizes 1000 100000] [--features FILE.npz] [--folder DIR] [--keep] [--no-index]

Views have K = 6 parts of D = 256 values, float16 on disk. Without ``--features`` they are made: a person is a point in
48 dimensions, each view a noisy copy of it seen through one random map per part; five views per person. With
``--features`` (``features.npz`` of `streamreid gallery export`) they are drawn around real ones. Queries are further
views of people who are there. With ``--keep`` the store stays in the folder and is used again.

Columns: views stored per second; bytes per view in the file; seconds to open it for searching; milliseconds per search,
one at a time: exact, with the index, faiss; share of the ten people found exactly that the index path finds; seconds to
make the index; seconds to forget one person, with proof. faiss compares cosines of concatenated vectors, which ignores
that parts are hidden: it is a limit of speed, not the same answer. Needs faiss-cpu.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from _results import add_json, save_asked

from streamreid.gallery import Batch, EngineStamp, Gallery, GallerySearch, Limits, TrackRecord
from streamreid.types import PartFeatures

K, D, PER_PERSON, BATCH, QUERIES = 6, 256, 5, 500, 40
STAMP = EngineStamp("benchmark", "b" * 64, K, D)


class People:
    """Makes views of people, always the same ones for the same numbers."""

    def __init__(self, real: Path | None) -> None:
        self._real = None
        if real is not None:
            with np.load(real) as data:
                self._real = data["parts"].astype(np.float32), data["visibility"].astype(np.float32)
        self._maps = np.random.default_rng(7).standard_normal((K, 48, D)).astype(np.float32) / 7

    def views(self, who: np.ndarray, seed: int) -> PartFeatures:
        """One view of each of ``who`` [N]."""
        rng = np.random.default_rng([11, seed])
        if self._real is not None:
            return self._around_real(who, rng)
        point = np.stack([np.random.default_rng([3, w]).standard_normal(48) for w in who.tolist()]).astype(np.float32)
        point = point + 0.45 * rng.standard_normal(point.shape).astype(np.float32)
        parts = np.einsum("nz,kzd->nkd", point, self._maps) + 0.3 * rng.standard_normal((len(who), K, D)).astype(
            np.float32
        )
        return self._finished(parts, np.clip(1.4 * rng.random((len(who), K)) - 0.1, 0, 1))

    def _around_real(self, who: np.ndarray, rng: np.random.Generator) -> PartFeatures:
        """People between two real ones, so that there are as many as wanted; the views differ like real views."""
        assert self._real is not None
        parts, visibility = self._real
        pick = np.stack([np.random.default_rng([5, w]).integers(0, len(parts), 2) for w in who.tolist()])
        mixed = (
            parts[pick[:, 0]]
            + 0.8 * parts[pick[:, 1]]
            + 0.035 * rng.standard_normal((len(who), *parts.shape[1:])).astype(np.float32)
        )
        return self._finished(mixed, visibility[rng.integers(0, len(parts), len(who))])

    @staticmethod
    def _finished(parts: np.ndarray, visibility: np.ndarray) -> PartFeatures:
        visibility = visibility.astype(np.float32)
        visibility[:, 0] = np.maximum(visibility[:, 0], 0.5)
        return PartFeatures((parts / np.linalg.norm(parts, axis=2, keepdims=True)).astype(np.float32), visibility)


def batches(people: People, count: int) -> Iterator[Batch]:
    """Tracklets with one view each, as runs would write them."""
    for number, start in enumerate(range(0, count, BATCH)):
        who = np.arange(start, min(start + BATCH, count)) // PER_PERSON + 1
        features = people.views(who, number)
        batch = Batch("benchmark")
        for row, person in enumerate(who.tolist()):
            key = (f"cam{row % 8}", start + row)
            batch.track_records[key] = TrackRecord("benchmark", *key, person, float(start), start + 5.0)
            batch.prototypes[key] = features[row : row + 1], np.ones(1, np.float32)
        yield batch


def timed(call: Callable[[int], object], count: int) -> float:
    """Median milliseconds."""
    seconds = []
    for number in range(count):
        begin = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - begin)
    return 1000 * float(np.median(seconds))


def fill(store: Gallery, people: People, count: int) -> float:
    """Store ``count`` views; views per second, the making of them not counted."""
    store.claim(STAMP)
    spent = 0.0
    for batch in batches(people, count):
        begin = time.perf_counter()
        store.write(batch)
        spent += time.perf_counter() - begin
    return count / spent


def faiss_milliseconds(people: People, count: int, queries: PartFeatures) -> float:
    """IndexFlatIP on concatenated vectors of weighted parts, float32."""
    import faiss

    index = faiss.IndexFlatIP(K * D)
    for number, start in enumerate(range(0, count, BATCH)):
        index.add(concatenated(people.views(np.arange(start, min(start + BATCH, count)) // PER_PERSON + 1, number)))
    flat = concatenated(queries)
    return timed(lambda n: index.search(flat[n : n + 1], 10), len(queries))


def concatenated(features: PartFeatures) -> np.ndarray:
    """``[N, K * D]`` of unit length."""
    rows = (features.parts * np.sqrt(features.visibility)[..., None]).reshape(len(features), -1)
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def measure(path: Path, people: People, count: int, *, index: bool, faiss: bool) -> dict[str, float]:
    """Print one row, and return it."""
    fresh = not path.exists()
    with Gallery.open(path, Limits(64, 10**9, 10**9, 10**9)) as store:
        rate = fill(store, people, count) if fresh else float("nan")
        store.tables.database.scrub(thorough=False)
        size = path.stat().st_size / count
        begin = time.perf_counter()
        finder = GallerySearch(store, folder=path.parent)
        opening = time.perf_counter() - begin
        queries = people.views(np.random.default_rng(1).integers(1, count // PER_PERSON + 1, QUERIES), 10**6)
        finder.search(queries[:1])
        exact = timed(lambda n: finder.search(queries[n : n + 1]), QUERIES)
        near, building, recall = float("nan"), float("nan"), float("nan")
        if index:
            truth = [{m.global_id for m in finder.search(queries[n : n + 1])} for n in range(QUERIES)]
            finder.close()
            finder = GallerySearch(store, folder=path.parent, index_from=1)
            begin = time.perf_counter()  # the index is made beside, from here on
            assert finder.wait_for_index()
            building = time.perf_counter() - begin
            near = timed(lambda n: finder.search(queries[n : n + 1]), QUERIES)
            found = [{m.global_id for m in finder.search(queries[n : n + 1])} for n in range(QUERIES)]
            recall = float(np.mean([len(a & b) / len(a) for a, b in zip(truth, found, strict=True)]))
        memory = finder.nbytes / count
        finder.close()
        begin = time.perf_counter()
        erasure = store.forget([1])
        forgetting = time.perf_counter() - begin
        assert erasure.complete
    peer = faiss_milliseconds(people, count, queries) if faiss else float("nan")
    print(
        f"{count:9,d} {rate:9.0f} {size:10.0f} {memory:10.0f} {opening:8.2f} {exact:9.2f} {near:9.2f} {recall:8.3f} "
        f"{peer:9.2f} {building:9.1f} {forgetting:9.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10:8d}",
        flush=True,
    )
    return {
        "views_per_second": rate,
        "bytes_per_view": size,
        "bytes_in_memory_per_view": memory,
        "open_s": opening,
        "exact_ms": exact,
        "index_ms": near,
        "recall": recall,
        "faiss_ms": peer,
        "index_s": building,
        "forget_s": forgetting,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--features", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--no-index", action="store_true")
    parser.add_argument("--no-faiss", action="store_true")
    add_json(parser, "gallery")
    args = parser.parse_args()
    figures = {}
    people = People(args.features)
    print(
        f"{'views':>9} {'views/s':>9} {'bytes/view':>10} {'in memory':>10} {'open s':>8} {'exact ms':>9} "
        f"{'index ms':>9} {'recall':>8} {'faiss ms':>9} {'index s':>9} {'forget s':>9} {'MiB':>8}"
    )
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        folder = args.folder if args.keep and args.folder else Path(temporary)
        for count in args.sizes:
            figures[count] = measure(
                folder / f"views-{count}.db", people, count, index=not args.no_index, faiss=not args.no_faiss
            )
    save_asked(args, figures, seed=7)


if __name__ == "__main__":
    main()
