"""The outbox: what is added is there, positions survive, bounds hold, and what is given up is counted."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from streamreid.errors import OutputError
from streamreid.messages.envelope import Draft, Envelope
from streamreid.messages.outbox import Outbox


def draft(number: int, size: int = 10) -> Draft:
    return Draft("streamreid.test", f"identity/{number % 3}", "identity:1", None, {"n": number, "fill": "x" * size})


def open_outbox(path: Path, *names: str, max_size: int = 10**9, max_age: float = 1e9) -> Outbox:
    return Outbox(path, names or ("a",), max_size=max_size, max_age=max_age, envelope=Envelope("site", "run"))


def test_messages_are_read_in_order_and_deleted_once_every_broker_has_them(tmp_path: Path) -> None:
    box = open_outbox(tmp_path / "o.db", "a", "b")
    box.add([draft(i) for i in range(3)])
    box.add([draft(i) for i in range(3, 10)])
    reader = box.reader()
    assert [m.sequence for m in reader.read(0, 4)] == [1, 2, 3, 4]
    assert [m.id for m in reader.read(8, 4)] == [f"{box.id}-9", f"{box.id}-10"]
    assert box.acknowledge({"a": 10, "b": 3}) == 3
    assert [m.sequence for m in reader.read(0, 100)] == [4, 5, 6, 7, 8, 9, 10]
    assert box.acknowledge({"a": 10, "b": 10}) == 10
    assert (reader.read(0, 100), box.size) == ([], 0)
    box.close()


def test_positions_and_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    box = open_outbox(tmp_path / "o.db", "a", "b")
    box.add([draft(i) for i in range(5)])
    box.acknowledge({"a": 5, "b": 2})
    name = box.id
    box.close()
    again = open_outbox(tmp_path / "o.db", "a", "b", "new")
    assert (again.id, again.positions) == (name, {"a": 5, "b": 2, "new": 0})  # all that is still there is new to it
    again.acknowledge({"a": 5, "b": 5, "new": 5})
    again.close()
    third = open_outbox(tmp_path / "o.db")
    assert third.add([draft(9)]) == 6  # also when everything before was deleted
    third.close()


def test_what_is_more_than_the_bound_is_given_up_oldest_first(tmp_path: Path) -> None:
    box = open_outbox(tmp_path / "o.db", max_size=10_000)
    box.add([draft(i, 500) for i in range(100)])
    floor = box.acknowledge({"a": 0})
    left = [m.sequence for m in box.reader().read(0, 1000)]
    assert left == list(range(floor + 1, 101))
    assert 8_000 < box.size <= 10_000
    box.close()


def test_what_waits_for_too_long_is_given_up(tmp_path: Path) -> None:
    box = open_outbox(tmp_path / "o.db", max_age=3600)
    for i in range(4):
        box.add([draft(i)])
    with sqlite3.connect(tmp_path / "o.db") as connection:
        connection.execute("UPDATE blocks SET at = at - 4000 WHERE last <= 3")
    assert box.acknowledge({"a": 1}) == 3
    box.close()


def test_an_empty_outbox_is_removed_if_asked(tmp_path: Path) -> None:
    box = open_outbox(tmp_path / "o.db")
    box.add([draft(1)])
    box.acknowledge({"a": 1})
    box.close(remove=True)
    assert list(tmp_path.iterdir()) == []
    box = open_outbox(tmp_path / "o.db")
    box.add([draft(1)])
    box.close(remove=True)
    assert (tmp_path / "o.db").exists()


def test_messages_survive_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.messages.test_outbox import *\n"
        "box = open_outbox(Path(sys.argv[1]))\n"
        "for i in range(10**6):\n    box.add([draft(i)]); print(i, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "o.db")], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(50)]
    os.kill(process.pid, signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    said = int([line for line in lines if line.endswith("\n")][-1])
    box = open_outbox(tmp_path / "o.db")
    assert [m.sequence for m in box.reader().read(0, 10**6)][: said + 1] == list(range(1, said + 2))
    box.close()


def test_a_file_that_is_no_outbox_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "o.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(OutputError, match=r"cannot open the outbox '.*o\.db'"):
        open_outbox(tmp_path / "o.db")
