"""Recordings and results on storage that is reached by an address: a local S3 server, and fsspec's memory."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamreid.cli import app
from streamreid.errors import ConfigError, MissingExtraError, OutputError, SourceError
from streamreid.runs import storage, stored_recordings
from streamreid.runs.batch import Batch, find_recordings, survey
from streamreid.runs.scratch import scratch_folder, sweep_scratch
from streamreid.runs.storage import Storage, StoredFile, local_or_address
from streamreid.secrets import redact

fsspec = pytest.importorskip("fsspec")

SECRET = "sehr-geheimer-schluessel-42"


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """The address of an empty bucket; credentials are in the environment."""
    import s3fs

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test-user-key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server,
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    name = f"b{os.urandom(4).hex()}"
    files.mkdir(name)
    yield f"s3://{name}"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where files are fetched to; nothing may be left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.fixture
def videos(scene):
    """Two recordings and a broken one, a scene with a cams.yaml, and a text; and the sections for them."""
    scene.camera("one", [0, 1], frames=12)
    scene.camera("two", [1, 2], frames=12)
    (scene.folder / "broken.mp4").write_bytes(b"no video")
    (scene.folder / "notes.txt").write_text("nothing")
    pair = scene.folder / "pair"
    pair.mkdir()
    for name in ("left", "right"):
        scene.camera(name, [0], frames=8).rename(pair / f"{name}.mp4")
    (pair / "cams.yaml").write_text("cameras: [{name: left, uri: left.mp4}, {name: right, uri: right.mp4}]\n")
    return scene.folder, {"detector": {"model": f"mot:{scene.boxes}"}, "engine": {"model": "none"}}


def upload(folder, address):
    there = Storage(address)
    for path in folder.rglob("*"):
        if path.is_file() and "boxes" not in path.parts:
            there.send(path, path.relative_to(folder).as_posix())


def results(storage_or_folder, name):
    """What was written of a recording, without times."""
    if isinstance(storage_or_folder, Path):
        folder = storage_or_folder / name
        found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    else:
        found = {f.name[len(name) + 1 :]: storage_or_folder.read(f.name) for f in storage_or_folder.files(name)}
    found.pop("done.json")
    summary = json.loads(found.pop("summary.json"))
    return found, {key: summary[key] for key in ("identities", "confirmed", "detector", "files")}, summary


def test_s3_gives_the_results_of_local_files(bucket, videos, tmp_path):
    folder, sections = videos
    upload(folder, f"{bucket}/videos")
    local = list(Batch(find_recordings([folder]), tmp_path / "local", sections).run())
    found, left_out = survey([f"{bucket}/videos/"])
    assert [r.name for r in found] == [r.name for r in local] == ["broken", "one", "two", "pair"]
    assert [(item.path, item.reason.split(";")[0]) for item in left_out] == [
        (f"{bucket}/videos/notes.txt", "not the ending of a video")
    ]
    stored = list(Batch(found, f"{bucket}/results", sections, left_out=left_out).run())
    assert [(r.name, r.status, r.frames, r.identities, r.file) for r in stored] == [
        (r.name, r.status, r.frames, r.identities, r.file) for r in local
    ]
    assert f"{bucket}/videos/broken.mp4" in stored[0].reason
    there = Storage(f"{bucket}/results")
    for name in ("one", "two", "pair"):
        (files, figures, summary), (expected, same, _) = results(there, name), results(tmp_path / "local", name)
        assert files == expected
        assert figures == same
        assert {c["source"].rpartition("/")[0] for c in summary["cameras"].values()} == {
            f"{bucket}/videos/pair" if name == "pair" else f"{bucket}/videos"
        }
    listed = json.loads(there.read("batch.json"))
    assert [r["status"] for r in listed["recordings"]] == ["failed", "done", "done", "done"]
    # The same again does the broken one only; a changed one is done again.
    upload_one = Storage(f"{bucket}/videos")
    upload_one.send(folder / "one.mp4", "two.mp4")
    again = list(Batch(find_recordings([f"{bucket}/videos"]), f"{bucket}/results", sections).run())
    assert [r.status for r in again] == ["failed", "skipped", "done", "skipped"]


def test_a_command_line_with_storage_on_both_sides(bucket, videos, caplog):
    folder, sections = videos
    upload(folder, f"{bucket}/videos")
    command = ["batch", f"{bucket}/videos", "--out", f"{bucket}/r", "--detector", sections["detector"]["model"]]
    done = CliRunner().invoke(app, [*command, "--engine", "none", "--verbose"])
    assert done.exit_code == 3, done.output
    text = done.output + caplog.text
    assert f"{bucket}/videos/broken.mp4" in re.sub(r"\s", "", text)
    for secret in (SECRET, "test-user-key"):
        assert secret not in text
    assert str(Path.cwd()) in redact(f"{Path.cwd()}/x")  # PWD is no password
    there = Storage(f"{bucket}/r")
    everything = b"".join(there.read(f.name) or b"" for f in there.files())
    assert SECRET.encode() not in everything
    assert b"streamreid-scratch" not in everything
    assert {f.name.partition("/")[0] for f in there.files()} == {"one", "two", "pair", "batch.json"}


@pytest.mark.parametrize("fault", ["cut", "gone", "refused"])
def test_a_broken_fetch_is_the_fault_of_its_recording(videos, tmp_path, monkeypatch, fault):
    folder, sections = videos
    (folder / "broken.mp4").unlink()
    upload(folder, "memory://videos")
    monkeypatch.setattr(storage, "PAUSE", 0.01)
    opened = Counter()
    original = fsspec.implementations.memory.MemoryFileSystem.open

    def broken(self, path, *args, **options):
        if str(path).endswith("one.mp4"):
            opened[path] += 1
            if fault == "refused":
                raise PermissionError("forbidden")
            if fault == "gone":
                raise FileNotFoundError(path)
            return fsspec.implementations.memory.MemoryFile(data=b"half")
        return original(self, path, *args, **options)

    found = find_recordings(["memory://videos"])
    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "open", broken)
    ended = list(Batch(found, tmp_path / "out", sections).run())
    assert [r.status for r in ended] == ["failed", "done", "done"]
    assert "'memory://videos/one.mp4' cannot be fetched" in ended[0].reason
    said = {"cut": "4 bytes came instead of", "gone": "nothing of that name", "refused": "credentials come from"}
    assert said[fault] in ended[0].reason
    assert sum(opened.values()) == (storage.TRIES if fault == "cut" else 1)
    monkeypatch.undo()
    assert [r.status for r in Batch(found, tmp_path / "out", sections).run()] == ["done", "skipped", "skipped"]


def test_results_that_cannot_be_sent_are_told(videos, monkeypatch):
    folder, sections = videos
    monkeypatch.setattr(storage, "PAUSE", 0.01)
    original = fsspec.implementations.memory.MemoryFileSystem.put_file

    def full(self, source, target, *args, **options):
        if "/out/one/" in str(target):
            raise OSError("quota exceeded")
        return original(self, source, target, *args, **options)

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "put_file", full)
    ended = list(Batch(find_recordings([folder / "one.mp4", folder / "two.mp4"]), "memory://out", sections).run())
    assert [r.status for r in ended] == ["failed", "done"]
    assert "cannot be written: quota exceeded" in ended[0].reason
    assert Storage("memory://out").read("one/done.json") is None


def test_a_place_that_cannot_be_written_is_told_before_anything_runs(bucket, videos):
    folder, sections = videos
    batch = Batch(find_recordings([folder / "one.mp4"]), "s3://no-such-bucket/out", sections)
    with pytest.raises(OutputError, match=r"no-such-bucket.*cannot be written: there is no such bucket"):
        list(batch.run(begin=lambda recording: pytest.fail(f"{recording.name} was begun")))


def test_a_new_run_leaves_nothing_of_an_earlier_one(videos):
    folder, sections = videos
    there = Storage("memory://replaced")
    recordings = find_recordings([folder / "one.mp4"])
    list(Batch(recordings, there.address, {**sections, "output": {"parquet": False, "video": True}}).run())
    there.write("one/mine.txt", b"kept")
    assert there.exists("one/videos/one.mp4")
    list(Batch(recordings, there.address, sections).run())
    assert not there.exists("one/videos/one.mp4")
    assert there.read("one/mine.txt") == b"kept"


def test_a_recording_that_does_not_fit_on_the_disk(videos, tmp_path, monkeypatch):
    folder, sections = videos
    upload(folder, "memory://large")
    found = find_recordings(["memory://large/one.mp4"])
    monkeypatch.setattr(stored_recordings, "SPARE_BYTES", 1 << 60)
    (ended,) = Batch(found, tmp_path / "out", sections).run()
    assert ended.status == "failed"
    assert "set TMPDIR to a larger disk" in ended.reason


def test_one_recording_at_a_time_lies_here(videos, tmp_path, scratch, monkeypatch):
    folder, sections = videos
    upload(folder, "memory://bounded")
    most = []
    original = Storage.fetch

    def fetch(self, file, target, **options):
        original(self, file, target, **options)
        most.append(sorted(p.name for p in scratch.rglob("*.mp4")))

    found = find_recordings(["memory://bounded"])
    monkeypatch.setattr(Storage, "fetch", fetch)
    list(Batch(found, tmp_path / "out", sections).run())
    assert most == [["broken.mp4"], ["one.mp4"], ["two.mp4"], ["left.mp4"], ["left.mp4", "right.mp4"]]


def test_stopping_gives_up_a_fetch(videos, tmp_path, monkeypatch):
    folder, sections = videos
    upload(folder, "memory://stopped")
    batch = Batch(find_recordings(["memory://stopped"]), tmp_path / "out", sections)
    monkeypatch.setattr(storage, "BLOCK", 100)
    original = fsspec.implementations.memory.MemoryFileSystem.open
    begun = threading.Event()

    def watched(self, path, *args, **options):
        begun.set()
        batch.stop()
        return original(self, path, *args, **options)

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "open", watched)
    ended = list(batch.run())
    assert begun.is_set()
    assert [(r.name, r.status, r.reason) for r in ended] == [("broken", "interrupted", "while it was fetched")]


def test_a_killed_process_leaves_nothing_for_long(scratch):
    script = (
        "import os, signal\nfrom streamreid.runs.scratch import scratch_folder\n"
        "with scratch_folder() as folder:\n    (folder / 'big.mp4').write_bytes(b'x' * 1000)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(scratch.rglob("big.mp4"))) == 1
    with scratch_folder() as mine:  # which others leave alone
        (mine / "own").write_text("here")
        sweep_scratch()
        assert [path.name for path in scratch.rglob("*") if path.is_file() and path.name[0] != "."] == ["own"]


def test_processes_that_begin_together_do_not_disturb_each_other(scratch):
    script = (
        "from streamreid.runs.scratch import scratch_folder\n"
        "for number in range(60):\n"
        "    with scratch_folder() as folder:\n"
        "        (folder / 'x').write_text('1')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=120)[1] for process in running] == [b""] * 3


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://no-such-bucket-here/videos", "there is nothing of that name"),
        ("nonsense://x/y", "nonsense"),
        ("s3://a::b", "'::' has a meaning"),
        ("memory://empty", "there is nothing of that name"),
        ("file://other-machine/videos", "three slashes"),
    ],
)
def test_addresses_that_lead_nowhere(bucket, address, said):
    with pytest.raises((ConfigError, SourceError), match=said):
        survey([address])


def test_no_credentials(server, monkeypatch, tmp_path):
    s3fs = pytest.importorskip("s3fs")
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError, match="credentials come from the environment"):
        survey(["s3://private/videos"])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(MissingExtraError, match=r"streamreid\[storage\]"):
        Storage("s3://bucket")


def test_names_that_no_file_here_can_have(videos, tmp_path):
    memory = fsspec.filesystem("memory")
    upload(videos[0], "memory://names")
    memory.store["/names/../../evil.mp4"] = memory.store["/names/one.mp4"]
    memory.store["/names/" + "x" * 300 + ".mp4"] = memory.store["/names/one.mp4"]
    found, left_out = survey(["memory://names"])
    assert [r.name for r in found] == ["broken", "one", "two", "pair"]
    assert [item.reason for item in left_out if "no file here" in item.reason] == [
        "a name that no file here can have"
    ] * 2


def test_paths_of_this_machine():
    assert local_or_address("file:///a/b%20c.mp4") == Path("/a/b c.mp4")
    assert local_or_address("videos/x.mp4") == Path("videos/x.mp4")
    assert local_or_address("s3://bucket/x/") == "s3://bucket/x"
    assert StoredFile("s3://b/x", "y/z.mp4", 1, "").address == "s3://b/x/y/z.mp4"
