"""The page of figures is made of records, which say where they come from; every benchmark can write one."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._results import flat
from benchmarks.report import PAGE, RESULTS, TEMPLATE, UnknownFigure, load_records, render

ROOT = Path(__file__).resolve().parents[2]
NO_FIGURES = {"figure", "figure_parts", "screenshots", "compare", "report"}
"""Scripts that draw pictures, or read records."""

README = (
    "**{{tracking person-nano.onnx.streamreid.HOTA/IDF1/switches .3f/.3f/d}}**; "
    "**{{tracking yolo11n.onnx.streamreid.HOTA/IDF1/switches .3f/.3f/d}}** | best peer on the same boxes and features "
    "(BoxMOT StrongSORT) {{tracking person-nano.onnx.BoxMOT_StrongSORT.HOTA/IDF1/switches .3f/.3f/d}}; "
    "{{tracking yolo11n.onnx.BoxMOT_StrongSORT.HOTA/IDF1/switches .3f/.3f/d}} |",
    "**{{association.clip pets.full.IDF1 .3f}}** | the same tracks unlinked "
    "{{multicam pab-osnet-clean.unlinked.IDF1 .3f}} |",
    "**{{unseen_cameras pab-osnet-clean.parts.person.R1/mAP .3f}}** | `pab-osnet-small` "
    "{{unseen_cameras pab-osnet-small.parts.person.R1/mAP .3f}}, the base model retail-0277 .538 / .560 |",
    "**{{adaptation.cuhk03 retail-0277.50x.5.mAP .3f}}** | as the engine gives features "
    "{{adaptation.cuhk03 retail-0277.plain.mAP .3f}} |",
    "**{{speed streamreid_run_detector.model_auto.whole .1f}}**; {{speed streamreid_run.whole .1f}}; "
    "{{speed streamreid_run_detector.schedule_every.whole .1f}} | "
    "`yolo track` with YOLO11n, without ReID, on OpenVINO in fp16 "
    "{{speed yolo_track_yolo11n_openvino_model.whole .1f}}, in int8 "
    "{{speed yolo_track_yolo11n_int8_openvino_model.whole .1f}} |",
    "**{{speed.hd6 streamreid_run_detector.model_auto.whole .1f}}**; {{speed.hd6 streamreid_run.whole .1f}} | "
    "fp16 {{speed.hd6 yolo_track_yolo11n_openvino_model.whole .1f}}, "
    "int8 {{speed.hd6 yolo_track_yolo11n_int8_openvino_model.whole .1f}} |",
    "**{{speed.hd streamreid_run_detector.model_auto.whole .1f}}**; {{speed.hd streamreid_run.whole .1f}} | "
    "fp16 {{speed.hd yolo_track_yolo11n_openvino_model.whole .1f}}, "
    "int8 {{speed.hd yolo_track_yolo11n_int8_openvino_model.whole .1f}} |",
    "`kill -9` {{gallery_kill kills d}} times while a gallery is written: confirmed writes lost | "
    "**{{gallery_kill faults d}}** of {{gallery_kill confirmed ,d}} |",
)
"""What README.md says, row by row."""


def test_the_page_is_what_the_records_give():
    page = render(TEMPLATE.read_text(encoding="utf-8"), load_records())
    assert PAGE.read_text(encoding="utf-8") == page, "python -m benchmarks.report writes it anew"


def test_the_figures_of_the_readme_are_those_of_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("## Measured") :].partition("| what |")[2].partition("\n\n")[0]
    rows = [line for line in table.splitlines()[2:] if line.startswith("|")]
    assert len(rows) == len(README)
    for row, words in zip(rows, README, strict=True):
        assert render(words, load_records()) in row


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_record_says_where_it_comes_from(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert (ROOT / record["script"]).is_file()
    assert path.stem.split(".")[0] == record["benchmark"].split(".")[0] == Path(record["script"]).stem
    assert record["command"]
    assert record["commit"]
    assert record["machine"]["cpu"]
    assert record["figures"]
    assert all(isinstance(v, (int, float)) and math.isfinite(v) for v in record["figures"].values())


def test_every_benchmark_can_write_its_figures():
    for script in sorted((ROOT / "benchmarks").glob("[!_]*.py")):
        if script.stem not in NO_FIGURES:
            text = script.read_text(encoding="utf-8")
            assert "add_json(" in text, script.name
            assert "save_asked(" in text, script.name


def test_a_benchmark_writes_a_record_where_it_is_told(tmp_path):
    words = ["known", "--people", "0", "--frames", "3", "--json", str(tmp_path / "known.json")]
    script = str(ROOT / "benchmarks" / "association.py")
    done = subprocess.run([sys.executable, script, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "known.json").read_text())
    assert list(record["figures"]) == ["0.ms"]
    assert record["figures"]["0.ms"] > 0
    assert record["benchmark"] == "association.known"
    assert record["script"] == "benchmarks/association.py"
    assert record["seed"] == 0


def records(**figures):
    return {"speed": {"figures": figures}}


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("{{speed a .3f}}", ".868"),
        ("{{speed one .3f}}", "1.000"),
        ("{{speed loss +.1f}}", "−.3"),
        ("{{speed many ,d}}", "1,066"),
        ("{{speed many .1f *0.001}}", "1.1"),
        ("{{speed x.y.IDF1/switches .2f/d}}", ".50 / 4"),
        ("{{speed x.y.IDF1/switches .1f}}", ".5 / 4.0"),
        ("nothing to fill in: 0.5 - 1", "nothing to fill in: 0.5 - 1"),
    ],
)
def test_figures_are_written_as_the_page_has_them(reference, text):
    some = records(a=0.8678, one=1.0, loss=-0.3, many=1066, **{"x.y.IDF1": 0.5, "x.y.switches": 4})
    assert render(reference, some) == text


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("{{speed b .3f}}", "speed.json has no figure b"),
        ("{{swiftness a .3f}}", "no benchmarks/results/swiftness.json"),
        ("{{speed a}}", "RECORD NAME FORMAT"),
        ("{{speed a/b .1f/d}}", "no figure b"),
    ],
)
def test_a_figure_that_is_not_there_is_named(reference, words):
    with pytest.raises(UnknownFigure, match=words):
        render(reference, records(a=0.5))


def test_nested_figures_have_one_name_each():
    nested = {"yolo11n.onnx": {"streamreid, delay 1 s": {"IDF1": 0.9, "lived": True}, 10: {"ms": 1}}, "p": float("nan")}
    assert flat(nested | {"said": "nothing"}) == {
        "yolo11n.onnx.streamreid_delay_1_s.IDF1": 0.9,
        "yolo11n.onnx.streamreid_delay_1_s.lived": 1,
        "yolo11n.onnx.10.ms": 1,
    }
