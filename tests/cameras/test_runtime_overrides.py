"""What was changed by HTTP outlives the run, unless the cameras file was edited since."""

import json
import logging
import stat

import pytest

from streamreid import Pipeline
from streamreid.cameras.config_watcher import CameraConfigWatcher
from streamreid.cameras.runtime_overrides import CHANGES, CameraOverrides
from streamreid.config import CalibrationConfig, CameraConfig, load_config
from streamreid.runs.result_folder import clear_results


@pytest.fixture(autouse=True)
def heard(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("streamreid"), "propagate", True)
    return caplog


def cameras(**settings):
    return [
        CameraConfig.model_validate({"name": n, "uri": f"rtsp://u:of-the-file@h/{n}", **more})
        for n, more in settings.items()
    ]


def as_dict(configs):
    return {c.name: c for c in configs}


def test_what_was_changed_is_there_again_after_a_restart(tmp_path, caplog):
    said = cameras(gate={"stride": 3}, hall={}, door={})
    before = CameraOverrides(tmp_path, said)
    assert before.begin() == tuple(said)
    gate, _, door = said
    now = [
        gate.model_copy(update={"stride": 1, "roi": ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))}),
        door.model_copy(update={"paused": True}),
        CameraConfig(name="yard", uri="rtsp://v:by-http@h/yard", frames=7),
    ]
    before.save(now)
    assert before.differences(now) == {
        "gate": ["roi", "stride"],
        "hall": ["removed"],
        "door": ["paused"],
        "yard": ["added"],
    }
    again = CameraOverrides(tmp_path, said)
    assert as_dict(again.begin()) == as_dict(now)
    assert "'gate' changed (roi, stride); 'hall' removed; 'door' changed (paused); 'yard' added" in caplog.text
    assert "by-http" not in caplog.text
    assert "of-the-file" not in (tmp_path / CHANGES).read_text()  # passwords of the file stay there
    assert stat.S_IMODE((tmp_path / CHANGES).stat().st_mode) == 0o600
    again.save(said)  # everything as the file says: nothing to keep
    assert not (tmp_path / CHANGES).exists()


def test_the_newer_word_counts(tmp_path, caplog):
    said = cameras(gate={}, hall={}, door={}, roof={})
    CameraOverrides(tmp_path, said).save(
        [*cameras(gate={"stride": 5}, roof={"stride": 4}), *cameras(yard={}, attic={})]
    )
    edited = cameras(gate={"transport": "udp"}, hall={"stride": 2}, door={}, yard={"stride": 9})
    assert as_dict(CameraOverrides(tmp_path, edited).begin()) == as_dict(
        [*cameras(gate={"transport": "udp"}, hall={"stride": 2}, yard={"stride": 9}), *cameras(attic={})]
    )
    for name, how in (
        ("gate", "was edited in"),
        ("hall", "was edited in"),
        ("yard", "was written into"),
        ("roof", "was taken out of"),
    ):
        assert f"camera '{name}' {how} the cameras file" in caplog.text


def test_a_new_password_in_the_environment_is_no_edit(tmp_path, monkeypatch):
    path = tmp_path / "cams.yaml"
    path.write_text("cameras: [{name: gate, uri: 'rtsp://u:${GATE_PASSWORD}@h/1'}]\n")
    monkeypatch.setenv("GATE_PASSWORD", "old-and-gone")
    said = load_config(path).cameras
    CameraOverrides(tmp_path, said).save([said[0].model_copy(update={"stride": 4})])
    monkeypatch.setenv("GATE_PASSWORD", "brand-new")
    (gate,) = CameraOverrides(tmp_path, load_config(path).cameras).begin()
    assert gate.stride == 4
    assert "brand-new" in gate.uri


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": 2, "salt": "", "cameras": {}}', '{"schema": 1, "salt": "s", "cameras": []}']
)
def test_a_damaged_file_is_put_aside(tmp_path, caplog, text):
    (tmp_path / CHANGES).write_text(text)
    said = cameras(gate={})
    assert CameraOverrides(tmp_path, said).begin() == tuple(said)
    assert "is damaged" in caplog.text
    assert (tmp_path / f"{CHANGES}.damaged").read_text() == text


def test_what_cannot_be_used_is_left_out_alone(tmp_path, caplog):
    CameraOverrides(tmp_path, []).save(cameras(gate={}, hall={}))
    data = json.loads((tmp_path / CHANGES).read_text())
    data["cameras"]["gate"]["settings"]["strid"] = 2
    del data["cameras"]["hall"]["settings"]
    data["cameras"] |= {"odd": 3, "yard": {"said": None, "settings": {"uri": "y.mp4"}}}
    (tmp_path / CHANGES).write_text(json.dumps(data))
    assert [c.name for c in CameraOverrides(tmp_path, []).begin()] == ["yard"]
    assert "did you mean 'stride'" in caplog.text


def test_nothing_is_kept_where_that_is_not_wanted_and_overwriting_forgets(tmp_path):
    CameraOverrides(tmp_path, [], keep=False).save(cameras(gate={}))
    assert not (tmp_path / CHANGES).exists()
    CameraOverrides(tmp_path, []).save(cameras(gate={}))
    assert CameraOverrides(tmp_path, [], keep=False).begin() == ()
    clear_results(tmp_path)
    assert CameraOverrides(tmp_path, []).begin() == ()


def test_editing_the_file_while_running_counts_more_and_reverting_returns_to_it(scene, colours, tmp_path, caplog):
    left, right = scene.camera("left", [0]), scene.camera("right", [1])
    path = tmp_path / "cams.yaml"

    def write(**strides):
        videos = {"left": left, "right": right}
        rows = [
            f"  - {{name: {n}, uri: {videos[n]}, live: true, repeat: 50, stride: {s}}}\n" for n, s in strides.items()
        ]
        path.write_text(
            "cameras:\n" + "".join(rows) + f"detector: {{model: 'mot:{scene.boxes}'}}\nengine: {{model: none}}\n"
        )

    write(left=1, right=1)
    config = load_config(path)
    with Pipeline(config, embedder=colours) as pipeline:
        run, changes = pipeline.cameras, CameraOverrides(tmp_path, config.cameras)
        file = CameraConfigWatcher(path, run, changes=changes)
        for name in ("left", "right"):
            run.change(as_dict(run.configs)[name].model_copy(update={"stride": 7}))
        changes.save(run.configs)
        write(left=2, right=1)
        file.reload_if_changed()
        assert {c.name: c.stride for c in run.configs} == {"left": 2, "right": 7}
        assert "'left' was changed by HTTP (stride); the cameras file was edited since" in caplog.text
        assert changes.differences(run.configs) == {"right": ["stride"]}
        assert {c.name: c.stride for c in CameraOverrides(tmp_path, load_config(path).cameras).begin()} == {
            "left": 2,
            "right": 7,
        }
        run.remove("left")
        run.add(run.configs[0].model_copy(update={"name": "extra", "uri": str(left)}))
        changes.save(run.configs)
        changes.revert(run)
        assert as_dict(run.configs) == as_dict(load_config(path).cameras)
        assert not (tmp_path / CHANGES).exists()
        write(left=2)
        run.remove("right")
        file.reload_if_changed()  # what is gone already need not be removed
        assert [c.name for c in run.configs] == ["left"]
        assert "cannot be removed" not in caplog.text


def test_a_calibration_that_comes_late_is_said_to_count_later(scene, colours, caplog):
    video = scene.camera("left", [0])
    config = scene.config(video)
    camera = config.cameras[0].model_copy(update={"live": True, "repeat": 50})
    with Pipeline(config.model_copy(update={"cameras": (camera,)}), embedder=colours) as pipeline:
        assert not caplog.records
        floor = CalibrationConfig(matrix=((0.02, 0, 0), (0, 0.02, 0), (0, 0, 1)))
        pipeline.cameras.change(camera.model_copy(update={"calibration": floor}))
        pipeline.cameras.change(camera.model_copy(update={"calibration": floor, "stride": 2}))
        pipeline.cameras.add(camera.model_copy(update={"name": "right"}))
    assert [r.getMessage() for r in caplog.records] == [
        "camera 'left': its calibration counts from the next start of the run on"
    ]
