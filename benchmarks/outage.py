"""What becomes of a run when its camera goes away and comes back: streamreid and ``yolo track``, on the same RTSP
streams, side by side.

    python benchmarks/outage.py VIDEO --detector yolo11n.onnx --peer-python PYTHON_WITH_ULTRALYTICS [--away 5] [--engine
    auto]

Three stories, each told to both programs by their own Python interface with their own defaults: (1) the server is
killed and comes back after ``--away`` seconds; (2) the stream stalls for four times as long, the connection staying
open; (3) of two cameras one cannot be reached from the beginning. Printed are facts: whether the program lived, how
many results it gave while nothing came (and how many of those showed people, which cannot be news), how long after the
return its first result with people came, and which track ids went on. Nothing is judged; the exit code is 0.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _root  # noqa: F401
from _results import add_json, save_asked

from tests.support.faults import FaultyProxy
from tests.support.live import looped_clip
from tests.support.rtsp_camera import RtspCamera, missing

FIGURES = "figures"
"""Beside the facts that are printed: the numbers for ``--json``."""

OURS = """
import json, sys, time
from streamreid import Pipeline
detector, engine, *uris = sys.argv[1:]
with Pipeline.from_sources(*uris, detector={"model": detector}, engine={"model": engine}) as pipeline:
    for result in pipeline:
        ids, global_ids = result.tracks.ids.tolist(), result.global_ids.tolist()
        print(json.dumps([time.time(), result.frame.camera, ids, global_ids]), flush=True)
"""

THEIRS = """
import json, sys, tempfile, time
from ultralytics import YOLO
detector, engine, *uris = sys.argv[1:]
source = uris[0]
if len(uris) > 1:
    source = tempfile.mkdtemp() + "/list.streams"
    open(source, "w").write("\\n".join(uris))
for result in YOLO(detector, task="detect").track(source=source, stream=True, verbose=False, classes=[0]):
    ids = result.boxes.id
    print(json.dumps([time.time(), result.path, [] if ids is None else ids.int().tolist(), []]), flush=True)
"""


@dataclass
class Program:
    """One of the two, running. ``seen``: (time, camera, track ids) of every result; ``who``: (time, identities), where
    the program knows any."""

    name: str
    process: subprocess.Popen[str]
    seen: list[tuple[float, str, list[int]]] = field(default_factory=list)
    who: list[tuple[float, list[int]]] = field(default_factory=list)
    said: list[tuple[float, str]] = field(default_factory=list)
    ended: float | None = None

    @classmethod
    def start(cls, name: str, python: str, script: str, arguments: list[str]) -> Program:
        """Begin to read what it says."""
        environment = os.environ | {"YOLO_VERBOSE": "true", "PYTHONUNBUFFERED": "1"}
        command = [python, "-c", script, *arguments]
        program = cls(
            name, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        )
        threading.Thread(target=program._results, daemon=True).start()
        threading.Thread(target=program._messages, daemon=True).start()
        return program

    def _results(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError, TypeError):
                when, camera, ids, who = json.loads(line)
                self.seen.append((when, camera, ids))
                self.who.append((when, [i for i in who if i]))
        self.ended = time.time()

    def _messages(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.strip():
                self.said.append((time.time(), line.strip()))

    def wait(self, results: int, seconds: float) -> bool:
        """Wait for so many results with people."""
        deadline = time.monotonic() + seconds
        while sum(bool(ids) for _, _, ids in list(self.seen)) < results:
            if time.monotonic() > deadline or self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return True

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def facts(program: Program, gone: float, back: float) -> dict[str, Any]:
    """What happened around an outage."""
    # A second for what was on its way when the stream ended.
    during = [ids for when, _, ids in program.seen if gone + 1 < when < back]
    after = [(when, ids) for when, _, ids in program.seen if when > back and ids]
    old = {i for when, _, ids in program.seen if gone - 5 < when <= gone for i in ids}
    fresh = {i for when, ids in after[:20] for i in ids}
    people = {i for when, who in program.who if gone - 5 < when <= gone for i in who}
    again = {i for when, who in [row for row in program.who if row[0] > back and row[1]][:20] for i in who}
    lived = program.process.poll() is None
    words = [text for when, text in program.said if when > gone]
    return {
        FIGURES: {
            "lived": lived,
            "ended_s": program.ended - gone if program.ended and not lived else None,
            "results_away": len(during),
            "first_result_s": after[0][0] - back if after else None,
            "track_ids": len(old),
            "track_ids_again": len(old & fresh),
            "identities": len(people),
            "identities_again": len(people & again),
        },
        "lived": "yes"
        if lived
        else f"no, ended {program.ended - gone:.1f} s after the loss"
        if program.ended
        else "no",
        "results while away": len(during),
        "of them with people": sum(bool(ids) for ids in during),
        "first result after": f"{after[0][0] - back:.1f} s" if after else "none",
        "track ids before": len(old),
        "of them again after": len(old & fresh),
        "identities before": len(people) if people else "-",
        "of those again after": len(people & again) if people else "-",
        "said": words[-1][:90] if not lived and words else words[0][:90] if words else "nothing",
    }


def outage(program: Program, take: Any, give: Any, away: float) -> dict[str, Any]:
    """Take the stream away and give it back."""
    if not program.wait(20, 120):
        return {"lived": "it never began", "said": program.said[-1][1][:90] if program.said else "nothing"}
    time.sleep(3)
    gone = time.time()
    take()
    time.sleep(away)
    give()
    back = time.time()
    program.wait(sum(bool(i) for _, _, i in program.seen) + 25, 40)
    return facts(program, gone, back)


def story_kill(begin: Any, clip: Path, away: float) -> dict[str, Any]:
    """The server dies and comes back."""
    with RtspCamera("--clip", str(clip)) as server:
        program = begin([server.uri])
        try:
            return outage(program, server.kill, lambda: server.start("--clip", str(clip)), away)
        finally:
            program.stop()


def story_stall(begin: Any, clip: Path, away: float) -> dict[str, Any]:
    """The stream stalls; nobody hangs up."""
    with RtspCamera("--clip", str(clip)) as server, FaultyProxy(server.port) as proxy:
        program = begin([f"rtsp://127.0.0.1:{proxy.port}/live"])
        try:
            return outage(
                program, lambda: setattr(proxy, "mode", "stall"), lambda: setattr(proxy, "mode", "pass"), 4 * away
            )
        finally:
            program.stop()


def story_dead(begin: Any, clip: Path, away: float) -> dict[str, Any]:
    """One of two cameras is not there."""
    with RtspCamera("--clip", str(clip)) as server:
        program = begin([server.uri, "rtsp://127.0.0.1:9/live"])
        try:
            began = program.wait(20, 90)
            lived = program.process.poll() is None
            return {
                FIGURES: {"lived": lived, "results": sum(bool(ids) for _, _, ids in program.seen) if began else 0},
                "lived": "yes" if lived else "no",
                "results of the good camera": sum(bool(ids) for _, _, ids in program.seen) if began else 0,
                "said": program.said[-1][1][:90] if program.said else "nothing",
            }
        finally:
            program.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--peer-python", required=True, help="an interpreter with ultralytics")
    parser.add_argument("--away", type=float, default=5.0, help="seconds")
    add_json(parser, "outage")
    args = parser.parse_args()
    figures = {}
    if missing() is not None:
        sys.exit(f"{missing()}")
    arguments = [args.detector, args.engine]
    programs = {
        "streamreid": lambda uris: Program.start("streamreid", sys.executable, OURS, arguments + uris),
        "yolo track": lambda uris: Program.start("yolo track", args.peer_python, THEIRS, arguments + uris),
    }
    stories = {
        f"server killed, back after {args.away:g} s": story_kill,
        f"stream stalls for {4 * args.away:g} s": story_stall,
        "one of two cameras cannot be reached": story_dead,
    }
    with tempfile.TemporaryDirectory() as folder:
        clip = looped_clip(args.video, 300, Path(folder) / "clip.mp4")
        for title, story in stories.items():
            found = {name: story(begin, clip, args.away) for name, begin in programs.items()}
            figures[story.__name__.removeprefix("story_")] = {n: f.pop(FIGURES, {}) for n, f in found.items()}
            print(f"\n{title}")
            for fact in {key: None for columns in found.values() for key in columns}:
                print(
                    f"  {fact:28s}" + "".join(f"{found[name].get(fact, '-')!s:>44.90s}" for name in programs),
                    flush=True,
                )
    save_asked(args, figures)


if __name__ == "__main__":
    main()
