"""Models that a machine lacks are copied there under their checksum."""

import dataclasses

import pytest

from streamreid.cluster.machines import Machine, Report
from streamreid.cluster.model_copies import locate, missing_models, pack_detector, pack_engine
from streamreid.config import Config, DetectorConfig, EngineConfig
from streamreid.errors import ClusterError
from streamreid.reid import shipped_engines

WORKER = Machine("1", "worker", "10.0.0.1")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def config(tmp_path):
    """A detector file, and an engine folder with the files of a bundle."""
    detector = tmp_path / "person.pt"
    detector.write_bytes(b"weights")
    engine = tmp_path / "mine"
    engine.mkdir()
    for file in next(iter(shipped_engines().values())).iterdir():
        if file.is_file():
            (engine / file.name).write_bytes(file.read_bytes())
    sections = {"detector": {"model": str(detector)}, "engine": {"model": str(engine)}}
    return Config.from_dict({"cameras": [{"uri": "a.mp4"}], **sections})


def test_a_copy_is_the_same(cache, config, tmp_path):
    detector, engine = pack_detector(config.detector).unpack(), pack_engine(config.engine).unpack()
    assert detector.read_bytes() == b"weights"
    assert detector.name == "person.pt"  # results name the detector
    assert {p.name: p.read_bytes() for p in engine.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "mine").iterdir()
    }
    assert cache in detector.parents
    assert pack_engine(config.engine).unpack() == engine  # once
    there = locate(config, detector, engine)
    assert (there.detector.model, there.engine.model) == (str(detector), str(engine))
    assert locate(config, None, None) == config


def test_damage_on_the_way(cache, config):
    copy = pack_detector(config.detector)
    with pytest.raises(ClusterError, match=r"person\.pt.*another checksum"):
        dataclasses.replace(copy, data=copy.data[:-1] + b"x").unpack()
    assert not list(cache.rglob("person.pt"))


def test_what_is_not_copied(tmp_path):
    assert pack_detector(DetectorConfig(model=f"mot:{tmp_path}")) is None
    for model in ("auto", "none", next(iter(shipped_engines()))):
        assert pack_engine(EngineConfig(model=model)) is None


def test_only_what_is_missing_is_sent(config):
    same = missing_models(config, [])
    assert same == {}
    lacking = missing_models(config, [Report(WORKER)])
    assert list(lacking) == [config.detector.model, config.engine.model]


def test_boxes_that_a_machine_does_not_see(tmp_path):
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "a.txt").write_text("1,-1,0,0,5,5,1,-1,-1,-1\n")
    sections = {"detector": {"model": f"mot:{tmp_path / 'boxes'}"}, "engine": {"model": "none"}}
    config = Config.from_dict({"cameras": [{"name": "a", "uri": "a.mp4"}], **sections})
    with pytest.raises(ClusterError, match=r"worker \(10\.0\.0\.1\): its detector 'mot:.* missing"):
        missing_models(config, [Report(WORKER, engine="none")])
