"""Kill -9 at random moments while a gallery is written: does it open, is all there that was confirmed, is anything
there by halves?

    python benchmarks/gallery_kill.py [--kills 200] [--seed 0] [--folder DIR]

A process writes batches of three appearances with two views each and four events, corrects, erases and backs up now and
then, and says after each call what was confirmed. It is killed after a random time between 0 and half a second of
writing, again and again on the same file. After every kill the file is opened and read completely. The exit code is 1
if anything is missing or half there.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _results import add_json, save_asked

from streamreid.gallery import Batch, EngineStamp, Gallery, Limits, TrackRecord
from streamreid.types import IdentityEvent, PartFeatures

STAMP = EngineStamp("kill", "0" * 64, 6, 64)
PER_BATCH, VIEWS, EVENTS = 3, 2, 4
LIMITS = Limits(prototypes=64)


def make_batch(number: int) -> Batch:
    """Batch ``number``: its people are ``3 * number + 1 .. 3``."""
    rng = np.random.default_rng(number)
    batch = Batch("kill")
    for k in range(1, PER_BATCH + 1):
        who = PER_BATCH * number + k
        parts = rng.standard_normal((VIEWS, STAMP.parts, STAMP.dim)).astype(np.float32)
        parts /= np.linalg.norm(parts, axis=2, keepdims=True)
        batch.track_records["cam", who] = TrackRecord("kill", "cam", who, who, float(number), number + 1.0)
        batch.prototypes["cam", who] = (
            PartFeatures(parts, np.ones((VIEWS, STAMP.parts), np.float32)),
            np.ones(VIEWS, np.float32),
        )
    first = PER_BATCH * number + 1
    batch.events = [IdentityEvent("new", float(number), first, "cam", first) for _ in range(EVENTS)]
    return batch


def write(path: Path, start: int) -> None:
    """The process that is killed: ``w N`` after batch N was confirmed, ``f N`` after its first person was forgotten."""
    with Gallery.open(path, LIMITS) as store:
        store.claim(STAMP)
        print("ready", flush=True)
        for number in range(start, start + 1_000_000):
            store.write(make_batch(number))
            print("w", number, flush=True)
            if number % 10 == 9:
                store.forget([PER_BATCH * number + 1])
                print("f", number, flush=True)
            if number % 17 == 16:
                store.rename(PER_BATCH * number + 2, f"person {number}")
                print("n", number, flush=True)


def kill_once(path: Path, start: int, seconds: float) -> tuple[int, list[str]]:
    """Write from batch ``start`` on, kill, and return the next batch number and what was confirmed."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--write", str(path), "--start", str(start)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    assert child.stdout is not None
    lines: list[str] = []
    if child.stdout.readline().strip() != "ready":
        raise SystemExit("the writing process did not begin")
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    lines = [line.strip() for line in child.stdout.read().splitlines() if line.strip()]
    child.wait()
    written = [int(line.split()[1]) for line in lines if line.startswith("w ")]
    return max(written, default=start - 1) + 1, lines


def inspect(path: Path, confirmed: set[str], attempted: int) -> list[str]:
    """What is wrong with the file; ``attempted`` is the batch that may or may not be there."""
    wrong: list[str] = []
    with Gallery.open(path, LIMITS) as store:
        store.check()
        records = {r.global_id: r for r in store.identities()}
        forgotten = set(store.forgotten())
        views: dict[int, int] = {}
        for block in store.prototypes():
            for who in block.global_ids.tolist():
                views[who] = views.get(who, 0) + 1
        events = dict(store.tables.database.rows("SELECT identity, COUNT(*) FROM events GROUP BY identity"))
    for who, record in records.items():
        if record.track_records != 1 or views.get(who) != VIEWS:
            wrong.append(f"identity {who} is half there: {record.track_records} appearances, {views.get(who)} views")
    for line in confirmed:
        kind, text = line.split()
        first = PER_BATCH * int(text) + 1
        people = {first + k for k in range(PER_BATCH)}
        if kind == "f" and (first in records or first not in forgotten):
            wrong.append(f"{first} was forgotten and is there")
        if kind == "n" and records.get(first + 1) is not None and records[first + 1].name != f"person {text}":
            wrong.append(f"the name of {first + 1} is lost")
        if kind == "w" and not people - forgotten <= set(records):
            wrong.append(f"batch {text} was confirmed and is not there")
        if kind == "w" and first not in forgotten and events.get(first) != EVENTS:
            wrong.append(f"batch {text} has {events.get(first)} of {EVENTS} events")
    late = {PER_BATCH * attempted + k for k in range(1, PER_BATCH + 1)} - forgotten
    if late & set(records) not in (set(), late):
        wrong.append(f"batch {attempted} is half there")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    add_json(parser, "gallery_kill")
    args = parser.parse_args()
    if args.write is not None:
        write(args.write, args.start)
        return
    rng = random.Random(args.seed)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "people.db"
        start, confirmed = 0, set()
        for kill in range(1, args.kills + 1):
            start, lines = kill_once(path, start, 0.5 * rng.random())
            confirmed |= set(lines)
            wrong += inspect(path, confirmed, start)
            start += 1  # the batch that was under way keeps its number, there or not
            if kill % 20 == 0 or wrong:
                size = path.stat().st_size >> 20
                print(f"{kill} kills, {len(confirmed)} calls confirmed, {size} MiB: {len(wrong)} faults", flush=True)
            if wrong:
                break
    print("\n".join(wrong[:20]))
    save_asked(args, {"kills": kill, "confirmed": len(confirmed), "faults": len(wrong)})
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
