"""The YAML: defaults, aliases, environment, mistakes with line and nearest key."""

from collections.abc import Iterator
from types import UnionType
from typing import Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from streamreid._yaml_messages import model_inside
from streamreid.config import CameraConfig, Config, load_config
from streamreid.errors import ConfigError
from streamreid.secrets import redact

TWO = "cameras:\n  - {name: a, uri: a.mp4}\n  - {name: b, uri: 0}\n"


def load(tmp_path, text):
    path = tmp_path / "cams.yaml"
    path.write_text(text)
    return load_config(path)


def test_defaults_and_relative_paths(tmp_path):
    config = load(tmp_path, TWO)
    assert config.cameras[0].uri == str(tmp_path / "a.mp4")
    assert config.cameras[1].uri == "0"
    assert config.detector.model == "auto"
    assert config.engine.model == "auto"


def test_names_known_from_ultralytics(tmp_path):
    text = (
        "cameras:\n  - {name: a, source: a.mp4, vid_stride: 3}\ndetector: {conf: 0.3, imgsz: 320}\ntracker: "
        "{track_high_thresh: 0.6, new_track_thresh: 0.7}\n"
    )
    config = load(tmp_path, text)
    assert config.cameras[0].stride == 3
    assert (config.detector.confidence, config.detector.size) == (0.3, 320)
    assert (config.tracker.high_score, config.tracker.new_score) == (0.6, 0.7)


def test_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CAM1_PASSWORD", "s3cret/pass")
    config = load(tmp_path, "cameras:\n  - {name: a, uri: 'rtsp://user:${CAM1_PASSWORD}@host/1'}\n")
    assert config.cameras[0].uri == "rtsp://user:s3cret%2Fpass@host/1"  # as an address must write it
    assert "s3cret" not in repr(config)
    assert "s3cret" not in redact(f"cannot open {config.cameras[0].uri}: s3cret/pass refused")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://admin:12345@10.0.0.1/live", "rtsp://admin:***@10.0.0.1/live"),
        ("rtsp://10.0.0.1/live", "rtsp://10.0.0.1/live"),
        ("http://cam/video?user=x&password=abc&fps=5", "http://cam/video?user=x&password=***&fps=5"),
        ("failed: rtsp://a:b@h/1 and rtsp://c:d@h/2", "failed: rtsp://a:***@h/1 and rtsp://c:***@h/2"),
        ("rtsp://a:p@ss@h/1", "rtsp://a:***@h/1"),
    ],
)
def test_redact(uri, shown):
    assert redact(uri) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("- a\n- b\n", "expected keys and values"),
        ("cameras: []\n", "at least 1 item"),
        ("cameras:\n  - {name: a, uri: x}\n  - {name: a, uri: y}\n", "unique.*a"),
        (TWO + "detector: {classes: [-1]}\n", r"cams.yaml:4: detector.classes\[0\]: .*greater than or equal to 0"),
        (TWO + "detector: {size: abc}\n", "cams.yaml:4: detector.size: write a whole number .*, or auto .got 'abc'.$"),
        (TWO + "detector: {size: 5}\n", "cams.yaml:4: detector.size: write a whole number from 64 to 4096, or auto"),
        (TWO + "detector: {model: ''}\n", "cams.yaml:4: detector.model: write a name, a file or a folder"),
        (TWO + "detector: {model: 'mot:'}\n", "cams.yaml:4: detector.model: write a name, a file or a folder"),
        (TWO + "engine: {model: ' '}\n", "cams.yaml:4: engine.model: write a name, a file or a folder"),
        (TWO + "detecter:\n  model: x\n", "cams.yaml:4: unknown key 'detecter'; did you mean 'detector'"),
        (
            TWO + "tracker:\n  lost_seconds: -1\n",
            "cams.yaml:5: tracker.lost_seconds: .*greater than or equal to 0.*got -1",
        ),
        (TWO + "tracker:\n  low_score: 0.9\n", "low_score .0.9. must not be above high_score"),
        (TWO + "tracker:\n  zzz: 1\n", "known keys: .*lost_seconds"),
        ("cameras:\n  - {name: x}\n", "cams.yaml:2: 'cameras.0..uri' is missing"),
        ("cameras:\n  - {name: 'a/b', uri: x}\n", "cameras.0..name"),
        ("cameras:\n  - {name: a, uri: x, roi: [[0, 0], [1, 1]]}\n", "at least 3 corners"),
        ("cameras:\n  - name: a\n    uri: x\n    uri: y\n", "cams.yaml:4: key 'uri' is given twice"),
        ("cameras: {a: x}\n", "cams.yaml:1: 'cameras' is a list"),
        (
            "cameras:\n  - {name: a, uri: '${NOT_SET_ANYWHERE}'}\n",
            "cams.yaml:2: environment variable 'NOT_SET_ANYWHERE' is not set",
        ),
        ("cameras: [\n", "not valid YAML"),
    ],
)
def test_mistakes(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "nothing.yaml")
    (tmp_path / "cams.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "cams.yaml")


def test_all_mistakes_at_once(tmp_path):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, TWO + "detector: {conf: 7}\nengin: {}\n")
    assert "detector.conf" in str(error.value)
    assert "did you mean 'engine'" in str(error.value)


def test_from_dict_and_repr():
    config = Config.from_dict({"cameras": [{"name": "a", "uri": "rtsp://u:pw@h/1"}]})
    assert "pw" not in repr(config.cameras[0])
    assert isinstance(config.cameras[0], CameraConfig)


def test_every_setting_is_described():
    schema = Config.model_json_schema()
    for name, section in schema["$defs"].items():
        for key, value in section["properties"].items():
            assert value.get("description"), f"{name}.{key} has no description"


@pytest.mark.parametrize(
    ("section", "key", "words"),
    [
        ("association", "clock", ("off",)),
        ("association", "unification", ("off",)),
        ("cameras", "deinterlace", ("off", "on")),
    ],
)
def test_on_and_off_are_words_where_a_setting_has_them(tmp_path, section, key, words):
    """YAML takes both for truth values."""
    for word in words:
        path = tmp_path / "cams.yaml"
        inner = f", {key}: {word}" if section == "cameras" else ""
        more = "" if section == "cameras" else f"{section}: {{{key}: {word}}}\n"
        path.write_text(f"cameras:\n  - {{name: a, uri: a.mp4{inner}}}\n{more}")
        config = load_config(path)
        assert getattr(config.cameras[0] if section == "cameras" else getattr(config, section), key) == word


def test_truth_values_stay_mistakes_where_no_such_word_is_known(tmp_path):
    path = tmp_path / "cams.yaml"
    path.write_text("cameras:\n  - {name: a, uri: a.mp4}\nassociation: {clock: on}\n")
    with pytest.raises(ConfigError, match=r"association\.clock"):
        load_config(path)


def test_a_value_of_several_forms_has_one_sentence_without_the_names_of_types():
    """Pydantic says of every form that it tried what is wrong with it, and names it after a type."""
    for name, field in ((n, f) for s in _sections(Config) for n, f in s.model_fields.items()):
        forms = [f for f in get_args(field.annotation) if f is not type(None)]
        if get_origin(field.annotation) in (Union, UnionType) and len(forms) > 1:
            extra = field.json_schema_extra
            assert isinstance(extra, dict), name
            assert "x-expected" in extra, name


def _sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        inner = model_inside(field.annotation)
        if inner is not None and inner is not model:
            yield from _sections(inner)


def test_check_names_models_that_are_not_here(call, tmp_path):
    file, one = tmp_path / "cams.yaml", "cameras:\n  - {name: a, uri: a.mp4}\n"
    file.write_text(one + "detector: {model: no/such.onnx}\nengine: {model: no/engine}\n")
    code, out, _ = call("config", "check", file)
    assert code == 0  # the file may be meant for another machine
    assert "detector.model: no/such.onnx: no such file on this machine" in out
    assert "engine.model: no/engine: no such folder on this machine" in out
    for section, name, near in (("detector", "yolo11m", "yolo11n"), ("engine", "pab-osnet-smal", "pab-osnet-small")):
        file.write_text(one + f"{section}: {{model: {name}}}\n")
        code, _, error = call("config", "check", file)
        assert code == 2
        assert f"cams.yaml:3: {section}.model: " in error
        assert near in error
