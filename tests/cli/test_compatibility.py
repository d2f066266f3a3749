"""A configuration and the command lines of version 0.1 go on being accepted; nothing is removed from these lists."""

import shlex

import pytest
import typer

from streamreid.cli import app
from streamreid.config import load_config

COMMAND_LINES = (
    r"""
demo --out results --overwrite --engine auto --quiet --verbose
demo -o results --no-overwrite -q -v
run a.mp4 b.mp4 --sources cams.yaml --out results --overwrite --detector yolo11n --engine auto --delay 0.5 \
    --video --mosaic --parquet --rotate 1d,1GB --keep 2 --cache cache --gallery people.db --serve 8080 --watch \
    --settings tuned.yaml --set tracker.lost_seconds=5 --quiet --verbose
run a.mp4 b.mp4 -s cams.yaml -o results --no-overwrite --no-video --no-mosaic --no-parquet --no-watch -q -v
serve cams.yaml --listen 8080 --out results --overwrite --detector yolo11n --engine auto --delay 0.5 --gallery \
    people.db --parquet --rotate 1d,1GB --keep 2 --watch --settings tuned.yaml --set tracker.lost_seconds=5 \
    --quiet --verbose
serve cams.yaml -l 8080 -o results --no-overwrite --no-parquet --no-watch -q -v
doctor a.mp4 b.mp4 --seconds 5 --detector yolo11n --engine auto --set tracker.lost_seconds=5 --json --verbose
doctor a.mp4 b.mp4 -v
replay cache --out results --overwrite --sources cams.yaml --settings tuned.yaml --detector yolo11n --engine \
    auto --delay 0.5 --offline --gallery people.db --video --mosaic --parquet --set tracker.lost_seconds=5 \
    --quiet --verbose
replay cache -o results --no-overwrite -s cams.yaml --online --no-video --no-mosaic --no-parquet -q -v
tune cache cache2 --truth cam1=gt.txt --out results --overwrite --trials 2 --objective hota --ids local \
    --hold-out some/file --only tracker --seed 2 --quiet
tune cache cache2 -t cam1=gt.txt -o results --no-overwrite -q
calibrate cache cache2 --out results --overwrite --report some/file --truth cam1=gt.txt --settings tuned.yaml \
    --set tracker.lost_seconds=5 --seed 2 --quiet
calibrate cache cache2 -o results --no-overwrite -t cam1=gt.txt -q
learn-topology some/file some/file --out results --overwrite --probability 0.5 --people 2 --margin 0.5 --closed \
    --quiet
learn-topology some/file some/file -o results --no-overwrite --no-closed -q
batch videos more.mp4 --out results --settings tuned.yaml --together --independent --detector yolo11n --engine \
    auto --delay 0.5 --gallery people.db --offline --set tracker.lost_seconds=5 --quiet --verbose
batch videos more.mp4 -o results --no-together --no-independent --online -q -v
synth query bounding_box_test --out results --people 2 --cameras 2 --level medium --seconds 0.5 --fps 0.5 --size \
    768x432 --visits 2 --linger 2 --overlap 0.5 --together 2 --place 11x8 --lighting 0.5 --skew 0.5 --drop 0.5 \
    --offline 2 --seed 2 --labels some/file --parser some/file --processes 2 --overwrite --quiet
synth query bounding_box_test -o results --no-overwrite -q
build-engine text --target openvino --precision int8 --max-batch 2 --kind reid --out results --calibration-crops \
    some/file --probe some/file --size 64 --min-cosine 0.5 --max-map-drop 0.5 --program --keep-failed --force
build-engine text --target openvino -o results
search --gallery people.db --image person.jpg --video clip.mp4 --time 0.5 --box 1,2,3,4 --box-ltwh 1,2,3,4 \
    --identity 2 --top 2 --least 0.5 --camera text --json --html some/file --engine auto --sources cams.yaml
search -g people.db -s cams.yaml
train recipe.yaml --quiet
train recipe.yaml -q
parse-labels some/file --out results --model some/file --pose some/file --fields some/file --parts five --sheet \
    some/file --quiet
parse-labels some/file -o results -q
export best.pt --out results --name text --licence text --description text --rank 2 --base 0.5 --unified \
    --same-as some/file --force
export best.pt -o results
config check cams.yaml
config schema
engine import some/file --out results --name text --preset text --output text --pictures some/file --untested \
    --height 2 --width 2 --licence text --calibrate-on some/file --force
engine import some/file -o results
engine inspect text
engine verify text --probe some/file --only tracker --checkpoint some/file --most 4 --keep --json
engine verify text --no-keep
engine bench text --batches 1,8 --seconds 0.5 --json
engine list
gallery list --gallery people.db --sources cams.yaml --camera text --json
gallery list -g people.db -s cams.yaml
gallery show 2 --gallery people.db --sources cams.yaml --json
gallery show 2 -g people.db -s cams.yaml
gallery merge 2 2 --gallery people.db --sources cams.yaml --force
gallery merge 2 2 -g people.db -s cams.yaml --no-force
gallery split 2 2 2 --gallery people.db --sources cams.yaml
gallery split 2 2 2 -g people.db -s cams.yaml
gallery different 2 2 --gallery people.db --sources cams.yaml
gallery different 2 2 -g people.db -s cams.yaml
gallery rename 2 text --gallery people.db --sources cams.yaml
gallery rename 2 text -g people.db -s cams.yaml
gallery export some/file 2 2 --gallery people.db --sources cams.yaml
gallery export some/file 2 2 -g people.db -s cams.yaml
gallery stats --gallery people.db --sources cams.yaml --json
gallery stats -g people.db -s cams.yaml
gallery backup some/file --gallery people.db --sources cams.yaml
gallery backup some/file -g people.db -s cams.yaml
gallery copy text text --encrypt
gallery copy text text --no-encrypt
gallery check --gallery people.db --sources cams.yaml
gallery check -g people.db -s cams.yaml
gallery expire --gallery people.db --sources cams.yaml --every 0.5
gallery expire -g people.db -s cams.yaml
gallery audit --gallery people.db --sources cams.yaml --json
gallery audit -g people.db -s cams.yaml
gallery key
gallery forget 2 2 --gallery people.db --sources cams.yaml --image person.jpg --video clip.mp4 --time 0.5 --box \
    1,2,3,4 --box-ltwh 1,2,3,4 --least 0.5 --engine auto --also some/file --yes --json
gallery forget 2 2 -g people.db -s cams.yaml -y
weights list
weights fetch text text --offline
evaluate mot some/file some/file --frames 1:75 --format text --rules text --report some/file --fps 0.5 --json
evaluate multicam some/file text text --frames 1:75 --format text --partial text --report some/file --fps 0.5 \
    --json
evaluate world some/file some/file --radius 0.5 --frames 1:75 --format text --json
evaluate reid text some/file --layout text --seeds 2 --rerank --unify --sides --runtime text --precision int8 \
    --json
""".strip()
    .replace("\\\n", " ")
    .splitlines()
)

EVERY_KEY = """
cameras:
- name: entrance
  uri: entrance.mp4
  roi: [[0, 0.4], [1, 0.4], [1, 1]]
  motion: flow
  stride: 2
  offset: 1.5
  start_time: 2026-11-29T10:00:00+01:00
  fps: 25
  size: [640, 480]
  start: 1.0
  frames: 100
  repeat: 2
  timeout: 10.0
  connect_timeout: 5.0
  reconnect: 3
  reconnect_seconds: 2.0
  transport: udp
  stream: 0
  deinterlace: off
  low_delay: false
  paused: true
  live: false
  calibration: {file: extr.xml, intrinsics: intr.xml, maps: world-to-camera, unit: 0.001}
- source: hall.mp4
  vid_stride: 2
  calibration: {matrix: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
- uri: 0
  name: yard
  calibration: {points: [[0, 0, 0, 0], [9, 0, 1, 0], [9, 9, 1, 1], [0, 9, 0, 1]]}
- uri: gate.mp4
  deinterlace: on
  calibration: gate.txt
detector:
  model: yolo11n
  confidence: 0.1
  iou: 0.7
  size: 640
  classes: [0]
  head: auto
  boxes: auto
  color: auto
  pixels: auto
  resize: auto
  runtime: auto
  precision: auto
  batch: 8
  on_mismatch: rebuild
engine:
  model: auto
  runtime: auto
  precision: auto
  choose: cached
  mode: throughput
  threads: 2
  on_mismatch: rebuild
  batch: 32
  look_interval: 2.0
  min_height: 24.0
tracker:
  high_score: 0.5
  low_score: 0.1
  new_score: 0.5
  confirm_frames: 3
  confirm_seconds: 0.15
  lost_seconds: 15.0
  exit_seconds: 0.5
  blind_seconds: 2.0
  delay: 2.0
  rejoin_seconds: 1.0
  coast_seconds: 0.2
  match_iou: 0.1
  second_iou: 0.4
  overlap_buffer: 1.0
  height_overlap: true
  truncation: true
  appearance_weight: 0.8
  appearance_gate: 0.05
  recover_probability: 0.8
  prototypes: 3
  occlusion: true
  ghost_score: 0.6
  ghost_travel: 0.5
  duplicate_iou: 0.7
  duplicate_cover: 0.8
association:
  enabled: true
  interval: 0.5
  window: 300.0
  memory: 3600.0
  min_observations: 3
  probability: 0.5
  confirm_seconds: 2.0
  confirm_observations: 10
  prototypes: 3
  visibility: true
  unification: parts
  candidates: 16
  max_tracks: 400
  max_identities: 200000
  clock: report
  offline: false
  link: {source: site, intercept: -1.0, exclusion: 2.5, looks: 1.05, looks_common: 0.0, looks_crops: 0.0, common: -3.1,
    crops: 0.0, quality: 0.0, gap: 0.0, other_camera: 2.3, crowd: -1.0, place: 1.0}
ground:
  enabled: true
  area: [[0, 0], [9, 0], [9, 9]]
  score: 0.3
  cameras: 1
  share: 0.5
  height: 1.7
  heights: [0.9, 2.2]
  acceleration: 0.6
  clutter: 1.0
  lost_seconds: 3.0
  hypotheses: 12
  check: true
gallery:
  store: people.db
  retention_hours: 24.0
  camera_retention_hours: {entrance: 2.0}
  prototypes: 8
  min_quality: 0.2
  max_identities: 20000
  max_prototypes: 100000
  max_appearances: 500000
  max_events: 200000
  recall: 0.2
  commit_seconds: 1.0
  crops: false
  private: true
  encryption: false
  key_variable: STREAMREID_GALLERY_KEY
  index_from: 200000
topology:
  overlap: [[entrance, hall]]
  transits: [{from: hall, to: yard, min: 1.0, max: 60.0, both_ways: false}]
  closed: true
live:
  turn_seconds: 0.05
  append: true
  watch: true
server:
  listen: 127.0.0.1:8080
  token: ${STREAMREID_TOKEN}
  keep_changes: true
output:
  dir: runs/here
  mot: true
  jsonl: true
  parquet: false
  video: false
  mosaic: false
  blur: true
  rotate: {every: 1d, size: 1GB, keep: 7, keep_hours: 200}
  crops: false
  crops_every: 1.0
  crops_min_height: 64.0
"""

OTHER_SPELLINGS = """
cameras: [{name: a, uri: a.mp4}]
detector: {conf: 0.2, imgsz: 320}
tracker: {track_high_thresh: 0.6, track_low_thresh: 0.2, new_track_thresh: 0.7}
output: {rotate: "6h, 500MB", blur: faces}
"""


def parsed(line):
    """The command that a command line ends at, and the values of its parameters, without running it."""
    rest = shlex.split(line)
    command = typer.main.get_command(app)
    context = command.make_context("streamreid", list(rest))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)
    return context.command, context.params


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_line_is_accepted(line):
    command, values = parsed(line)
    given = {word for word in shlex.split(line) if word.startswith("-")}
    known = {p.name: {*p.opts, *p.secondary_opts} for p in command.params}
    assert all(values[name] is not None for name, spellings in known.items() if spellings & given)


@pytest.mark.parametrize("line", ["run --mosiac a.mp4", "serch", "gallery show x"])
def test_a_wrong_one_is_not(line):
    with pytest.raises(Exception) as wrong:
        parsed(line)
    assert wrong.value.exit_code == 2


def test_every_key_of_the_yaml_is_accepted(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMREID_TOKEN", "a0" * 16)
    file = tmp_path / "cams.yaml"
    file.write_text(EVERY_KEY)
    config = load_config(file)
    assert [c.name for c in config.cameras] == ["entrance", "hall", "yard", "gate"]
    assert (config.cameras[0].deinterlace, config.cameras[3].deinterlace, config.cameras[1].stride) == ("off", "on", 2)
    assert config.cameras[3].calibration.file == str(tmp_path / "gate.txt")
    assert (config.output.blur, config.output.rotate.every, config.output.rotate.size) == ("people", 86400.0, 10**9)
    assert (config.tracker.delay, config.topology.transits[0].from_) == (2.0, "hall")


def test_other_spellings_are_accepted(tmp_path):
    file = tmp_path / "cams.yaml"
    file.write_text(OTHER_SPELLINGS)
    config = load_config(file)
    assert (config.detector.confidence, config.detector.size) == (0.2, 320)
    assert (config.tracker.high_score, config.tracker.low_score, config.tracker.new_score) == (0.6, 0.2, 0.7)
    assert (config.output.rotate.every, config.output.rotate.size, config.output.blur) == (
        21600.0,
        500_000_000,
        "faces",
    )
