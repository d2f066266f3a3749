"""What `doctor` says of what cannot be used: each once, and of the right thing."""

from __future__ import annotations

import sys

import pytest

from streamreid.config import Config
from streamreid.runs.doctor import check_brokers, examine


@pytest.mark.parametrize(
    ("model", "said"),
    [("no.onnx", "no such file"), ("empty", "no bundle.json in it"), ("mot:nowhere", "no such file or folder")],
)
def test_the_name_of_a_model_is_said_once(call, scene, monkeypatch, model, said):
    monkeypatch.chdir(scene.folder)
    scene.camera("left", [0])
    (scene.folder / "empty").mkdir()
    code, out, _ = call("doctor", "left.mp4", "--seconds", "1", "--detector", model, "--engine", "empty")
    assert code == 2
    assert f"\ndetector {model}: {said}" in out
    assert "\nengine empty: no bundle.json in it" in out


def test_an_adaptation_that_cannot_be_used_is_said_as_a_run_says_it(scene, colours, monkeypatch):
    monkeypatch.setattr("streamreid.runs.doctor.open_embedder", lambda _: colours)
    config = scene.config(scene.camera("left", [0]), association={"adaptation": str(scene.folder / "no.npz")})
    found = examine(config, seconds=0.5)
    assert not found.healthy
    (fault,) = [model for model in found.models if model.role == "adaptation"]
    assert "cannot read" in fault.error


def test_a_calibration_that_cannot_be_used_is_the_cameras_fault(scene):
    config = scene.config(scene.camera("left", [0]), scene.camera("right", [1]))
    left, right = config.cameras
    wrong = Config.from_dict(
        {
            **config.model_dump(exclude={"cameras"}),
            "cameras": [
                {"name": left.name, "uri": left.uri, "calibration": str(scene.folder / "no.xml")},
                {"name": right.name, "uri": right.uri},
            ],
        }
    )
    found = examine(wrong, seconds=1)
    assert [camera.error is None for camera in found.cameras] == [False, True]
    assert str(found.cameras[0].error).startswith("calibration '")
    assert [model.error for model in found.models] == [None, None]


def test_a_client_library_that_is_missing_is_said_of_its_broker_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "nats", None)
    monkeypatch.delitem(sys.modules, "streamreid.messages.brokers.nats", raising=False)
    section = {"nats": {"address": "nats://127.0.0.1:1"}, "webhook": {"address": "http://127.0.0.1:1/x"}}
    nats, webhook = check_brokers(Config.from_sources("a.mp4", messages=section))
    assert "streamreid[messages]" in str(nats.error)
    assert "streamreid[messages]" not in str(webhook.error)
