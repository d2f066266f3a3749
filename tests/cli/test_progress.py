"""The progress line."""

import io
from types import SimpleNamespace

from rich.console import Console

from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.cli.progress import RunProgress
from streamreid.sinks import PeopleCount


def test_plain_lines_become_rare_in_runs_without_end():
    now = 0.0
    console = Console(file=io.StringIO(), width=500)
    statistics = Statistics({"gate": CameraCount(frames=7, live=True)})
    pipeline = SimpleNamespace(statistics=statistics, people_count=PeopleCount(), failed={})
    when = []
    with RunProgress(console, clock=lambda: now) as progress:
        for second in range(1000):
            now = float(second)
            before = console.file.tell()
            progress.update(pipeline)
            if console.file.tell() > before:
                when.append(second)
    assert when[:3] == [5, 10, 15]
    assert [b - a for a, b in zip(when[-6:], when[-5:], strict=False)] == [60] * 5
    assert "frame 7" in console.file.getvalue()
