"""A process without descriptors, memory or threads for a while: what it could not do passes, and cameras go on."""

import errno
import os
import threading
from pathlib import Path

import pytest

from streamreid import Pipeline
from streamreid._scarcity import is_scarcity
from streamreid.errors import DataError, SourceError
from streamreid.pipeline import run


def _live(config):
    cameras = tuple(c.model_copy(update={"live": True}) for c in config.cameras)
    return config.model_copy(update={"cameras": cameras})


def _without_descriptor(self):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize("live", [True, False])
def test_boxes_that_cannot_be_opened_for_a_while_do_not_end_a_live_camera(scene, tmp_path, monkeypatch, live, caplog):
    """Six frames in a row: more than a fault of a camera may last."""
    config = scene.config(scene.camera("a", [0, 1], frames=40))
    read, calls = Path.read_bytes, []

    def limited(self):
        if self.suffix == ".txt" and len(calls) < 9:  # three while warming up
            calls.append(self)
            _without_descriptor(self)
        return read(self)

    with Pipeline(_live(config) if live else config) as pipeline:
        monkeypatch.setattr(Path, "read_bytes", limited)
        if not live:
            with pytest.raises(SourceError):
                run(pipeline, tmp_path / "out")
            return
        summary = run(pipeline, tmp_path / "out")
    assert summary.failed == {} or not summary.failed
    assert summary.frames > 20
    assert pipeline.statistics.cameras["a"].drops["out of resources"] >= 5
    assert caplog.text.count("is passed over") == 1


def test_a_run_begins_and_ends_without_new_threads(scene, tmp_path, monkeypatch):
    config = _live(scene.config(scene.camera("a", [0], frames=20)))
    start, refused = threading.Thread.start, []

    def limited(self):
        if self.name.startswith(("startup", "close-", "give-back", "Thread-")):
            refused.append(self.name)
            raise RuntimeError("can't start new thread")
        start(self)

    with Pipeline(config) as pipeline:
        monkeypatch.setattr(threading.Thread, "start", limited)
        summary = run(pipeline, tmp_path / "out")
    assert summary.frames > 10
    assert refused


def test_what_is_a_lack_and_what_a_fault():
    def raised(inner):
        try:
            try:
                raise inner
            except type(inner):
                raise DataError("cannot read") from None
        except DataError as error:
            return error

    assert is_scarcity(raised(OSError(errno.EMFILE, "")))
    assert is_scarcity(raised(RuntimeError("Exception from infer: std::bad_alloc")))
    assert is_scarcity(MemoryError())
    assert not is_scarcity(raised(OSError(errno.ENOENT, "")))
    assert not is_scarcity(raised(RuntimeError("shapes do not match")))
