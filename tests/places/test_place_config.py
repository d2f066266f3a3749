"""What is wrong with zones, lines and rules is said with line, key and reason."""

import unicodedata

import pytest

from streamreid import Config, load_config
from streamreid.config.alert_rules import parse_rule
from streamreid.errors import ConfigError
from streamreid.gallery import Gallery

SQUARE = "[[0, 0], [1, 0], [1, 1]]"
HEAD = "cameras:\n  - {name: hall, uri: a.mp4}\n  - {name: door, uri: b.mp4}\n"

MISTAKES = {
    "zones: [{name: z, camera: hall, polygon: [[0, 0], [1, 1]]}]": r":4: zones\[0\]\.polygon: .* at least 3 .* got 2",
    "zones: [{name: z, camera: hall, polygon: [[0, 0], [1, 1], [1, 0], [0, 1]]}]": r"zones\[0\]\.polygon: .*crosses",
    "zones: [{name: z, camera: hall, polygon: [[0, 0], [1, 1], [0.5, 0.5]]}]": r"zones\[0\]\.polygon: .*(area|meets)",
    "zones: [{name: z, camera: hall, polygon: [[0, 0], [1.2, 0], [1, 1]]}]": r"1\.2 is beyond the frame",
    f"zones:\n  - {{name: z, camera: hal, polygon: {SQUARE}}}": r":5: zones\[0\]\.camera: .*'hal'; did you mean 'hall'",
    f"zones:\n  - {{name: z, polygon: {SQUARE}}}": r":5: zones\[0\]: 'camera' is missing",
    f"zones: [{{name: z, ground: {SQUARE}}}]": r"zones\[0\]: nobody can ever be there: .* no camera is calibrated",
    f"zones: [{{name: everywhere, camera: hall, polygon: {SQUARE}}}]": r"whole site already",
    f"zones: [{{name: z, camera: hall, polygn: {SQUARE}}}]": r"did you mean 'polygon'",
    "lines: [{name: n, camera: hall, from: [0.5, 0.5], to: [0.5, 0.5]}]": r":4: lines\[0\]: the line has no length",
    "lines: [{name: n, camera: hall, from: [-90, 5], to: [-9, 400]}]": r":4: lines\[0\]: nobody can ever cross it",
    "lines: [{name: n, camera: hal, from: [0.5, 0.5], to: [0.5, 0]}]": r"lines\[0\]\.camera: there is no camera 'hal'",
    f"zones:\n  - {{name: z, camera: hall, polygon: {SQUARE}}}\n"
    f"  - {{name: z, camera: door, polygon: {SQUARE}, queue: true}}": r":6: zones\[1\]\.queue: 'queue' belongs",
    f"zones:\n  - {{name: z, camera: hall, polygon: {SQUARE}}}\n"
    f"  - {{name: z, ground: {SQUARE}}}": r":6: zones\[1\]\.name: .* on the ground here and in a picture before",
    f"zones:\n  - {{name: z, camera: hall, polygon: {SQUARE}}}\n"
    "lines:\n  - {name: z, camera: door, from: [0, 0], to: [1, 1]}": r":7: lines\[0\]\.name: 'z' is the name of a zone",
    f"zones:\n  - {{name: z, camera: hall, polygon: {SQUARE}}}\n"
    f"  - {{name: z, camera: hall, polygon: {SQUARE}}}": r":6: .*camera 'hall' has a zone 'z' already",
    f"zones: [{{name: z, camera: hall, polygon: {SQUARE}}}]\n"
    "alerts:\n  - when: zone z loitering": r":6: alerts\[0\]\.when: this can never hold: .* has no loitering_time",
    f"zones: [{{name: z, camera: hall, polygon: {SQUARE}}}]\nalerts:\n  - when: zone z queue > 2": "has no queue",
    "alerts:\n  - when: zone shop occupancy > 3": r":5: .*can never hold: there is no zone 'shop'",
    "alerts:\n  - when: line door out": r"can never hold: there is no line 'door'",
    "alerts:\n  - when: camera hal occupancy > 3": r"no camera 'hal'; did you mean 'hall'",
    "alerts:\n  - when: site occupancy < 0": r":5: alerts\[0\]\.when: this can never hold: .* never less than 0",
    "alerts:\n  - when: site occupancy >= 0": "this always holds",
    "alerts:\n  - when: site occupancy > many": "'many' is not a whole number",
    "alerts:\n  - when: site occupancy > 3 for a while": "'a' is not a time",
    "alerts:\n  - when: site crowded": "'crowded' is not understood here; expected occupancy, unique",
    "alerts:\n  - when: site unique > 3": "over which time",
    "alerts:\n  - when: site occupancy > ²": "'²' is not a whole number",
    "zones: 3": r":4: zones: expected a list",
    "zones: [shop]": r"zones\[0\]: write keys and values",
    "zones: [{name: z, camera: hall, polygon: [[0, 0, 0], [1, 0], [1, 1]]}]": "expected at most 2 items, got 3",
    "zones: [{name: z, camera: hall, polygon: [[-9, 1], [-9, 400], [0, 9]]}]": r"to the left of the picture",
    "zones: [{name: z, camera: hall, polygon: [[-9, 0], [1, 0], [1, 1]]}]": r"-9 is neither a fraction",
    f"zones: [{{name: 'z ', camera: hall, polygon: {SQUARE}}}]": r"zones\[0\]\.name: names of places",
    f"zones: [{{name: <b>, camera: hall, polygon: {SQUARE}}}]": r"zones\[0\]\.name: names of places",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_line_its_key_and_the_reason(tmp_path, text):
    path = tmp_path / "cams.yaml"
    path.write_text(HEAD + text + "\n")
    with pytest.raises(ConfigError, match=MISTAKES[text]):
        load_config(path)


def test_what_is_right_is_read_and_survives_being_written_and_changed(tmp_path):
    path = tmp_path / "cams.yaml"
    path.write_text(
        HEAD + "zones:\n"
        f"  - {{name: shop floor, camera: hall, polygon: {SQUARE}, loitering_time: 2m}}\n"
        f"  - {{name: shop floor, camera: door, polygon: [[0, 0], [640, 0], [640, 480]], loitering_time: 120}}\n"
        "lines: [{name: in, camera: hall, from: [0, 0.5], to: [1, 0.5]}]\n"
        "alerts:\n"
        "  - when: zone 'shop floor' occupancy > 20 for 30s\n"
        "  - {when: line in crossed > 5 in 1m, every: 10m, name: rush}\n"
        "  - when: identity Anna seen in zone 'shop floor'\n"
    )
    config = load_config(path)
    assert [z.loitering_time for z in config.zones] == [120, 120]
    again = Config.from_dict(config.model_dump())
    assert (again.zones, again.lines, again.alerts) == (config.zones, config.lines, config.alerts)
    assert config.with_settings({"tracker.delay": 2}).lines[0].end == (1, 0.5)
    assert config.alerts[1].rule.window == 60


@pytest.mark.parametrize("name", ["हॉल", "ร้าน", "入口 2", "Cafe\u0301"])
def test_names_of_any_script_are_one_place_however_they_are_composed(tmp_path, name):
    path = tmp_path / "cams.yaml"
    path.write_text(
        f"{HEAD}zones:\n  - {{name: {name}, camera: hall, polygon: {SQUARE}}}\n"
        f"  - {{name: {unicodedata.normalize('NFC', name)}, camera: door, polygon: {SQUARE}}}\n"
        f"alerts: [{{when: zone '{unicodedata.normalize('NFD', name)}' entered}}]\n",
        encoding="utf-8",
    )
    config = load_config(path)
    assert {zone.name for zone in config.zones} == {unicodedata.normalize("NFC", name)} == {config.alerts[0].rule.name}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zone shop occupancy>20 for 30s", ("zone", "shop", "occupancy", ">", 20, 30, 0)),
        ("site occupancy == 0 for 1h", ("site", "", "occupancy", "=", 0, 3600, 0)),
        ('zone "till 2" dwell > 1.5m', ("zone", "till 2", "dwell", ">", 90, 0, 0)),
        ("line door out >= 3 in 5m", ("line", "door", "out", ">=", 3, 0, 300)),
        ("zone shop unique > 100 in 1h", ("zone", "shop", "unique", ">", 100, 0, 3600)),
    ],
)
def test_rules_are_read(text, expected):
    rule = parse_rule(text)
    assert (
        rule.subject,
        rule.name,
        rule.measure,
        rule.comparison,
        rule.limit,
        rule.seconds,
        rule.window,
    ) == expected


NAMED = "cameras: [{name: hall, uri: hall.mp4}]\nalerts: [{when: identity Anna seen}]\n"


def test_a_rule_about_a_name_needs_a_gallery_that_can_know_it(call, tmp_path):
    file, gallery = tmp_path / "cams.yaml", tmp_path / "people.db"
    file.write_text(NAMED)
    code, _, err = call("config", "check", file)
    assert code == 2
    assert (
        "cams.yaml:2: alerts[0].when: 'identity Anna seen' can never hold: names are given to people of a gallery"
        in err
    )
    code, out, _ = call("config", "check", file, "--gallery", gallery)  # names may be given while the run goes on
    assert (code, "Anna" in out) == (0, False)
    with Gallery.open(gallery):
        pass
    file.write_text(f"{NAMED}gallery: {{store: {gallery}}}\n")
    code, out, _ = call("config", "check", file)
    assert code == 0
    assert f"identity Anna: nobody in '{gallery}' has this name yet" in " ".join(out.split())


def test_a_rule_about_a_number_needs_no_gallery(call, tmp_path):
    file = tmp_path / "cams.yaml"
    file.write_text(NAMED.replace("Anna", "17"))
    assert call("config", "check", file)[0] == 0
