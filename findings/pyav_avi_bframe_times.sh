#!/usr/bin/env bash
# PyAV gives the frames of an AVI with H.264 B-frames times that jump back and forth.
#
# Versions: av 18.1.0 (with the FFmpeg libraries in its wheel), numpy 2.4.6, Python 3.11, Linux x86-64.
#
# Behaviour: AVI stores no presentation times, and FFmpeg's AVI demuxer sets only decoding times. PyAV opens every
# input with AVFMT_FLAG_GENPTS, so each packet gets a pts in the order of the file, which with B-frames isn't the
# order of display. The pictures come in the right order, but frame.pts and frame.time carry these values: they
# go backwards, no frame is marked, no error is raised and no warning is printed. The same pictures from the same
# encoder in an MP4 have even, rising times.
#
# Output seen:
#   picture     0     1     2     3     4     5     6     7     8     9    10    11
#   MP4 time 0.00  0.04  0.08  0.12  0.16  0.20  0.24  0.28  0.32  0.36  0.40  0.44
#   AVI time 0.04  0.12  0.16  0.08  0.24  0.28  0.20  0.36  0.40  0.32  0.48  0.52
#   AVI: 16 of 49 steps go backwards; times lie -0.04 to +0.08 s from the true time
#
# Why it matters: recorders and old camera exports still write H.264 into AVI. Whoever uses frame.time as the
# time of a picture feeds a tracker with negative time steps, and a recorder that drops frames "from the past"
# drops good pictures; sorting by pts, often advised for B-frames, shuffles them. The number of the
# frame divided by the rate gives the time up to a constant.
#
# Source: FFmpeg libavformat/avidec.c (sets pkt->dts, never pkt->pts) and AVFMT_FLAG_GENPTS in avformat.h; PyAV
# av/container/core.py (Container.__cinit__ sets the flag). ffprobe shows no pts for these frames, and an even
# best_effort_timestamp. PyAV issue 1023 describes similar steps backwards for another file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cat > check.py <<'PY'
import sys

import av
import numpy as np

RATE, COUNT = 25, 50


def write(path):
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"bf": "2", "b-adapt": "0", "g": "50", "qp": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(COUNT):  # the brightness of a picture tells its number
            gray = np.full((64, 64), 20 + 4 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.dstack([gray] * 3), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def read(path):
    numbers, times = [], []
    with av.open(path) as source:
        for frame in source.decode(video=0):
            numbers.append(round((float(frame.to_ndarray(format="rgb24").mean()) - 20) / 4))
            times.append(frame.time)
    return numbers, times


def line(name, values, form):
    print(f"{name:<8}" + " ".join("  None" if v is None else form.format(v) for v in values[:12]))


result = {}
for kind in ("mp4", "avi"):
    write(f"walk.{kind}")
    result[kind] = read(f"walk.{kind}")
    if result[kind][0] != list(range(COUNT)):
        sys.exit(f"changed: the pictures of the {kind} don't come in the order in which they were written")
line("picture", result["mp4"][0], "{:5d}")
line("MP4 time", result["mp4"][1], "{:5.2f}")
line("AVI time", result["avi"][1], "{:5.2f}")
if not np.allclose(result["mp4"][1], np.arange(COUNT) / RATE):
    sys.exit("changed: the times from the MP4 aren't even")
times = result["avi"][1]
if None in times:
    sys.exit("changed: some frames of the AVI have no time, which a reader notices")
steps = np.diff(times)
backwards = int((steps <= 0).sum())
offset = np.array(times) - np.arange(COUNT) / RATE
print(f"AVI: {backwards} of {len(steps)} steps go backwards; "
      f"times lie {offset.min():+.2f} to {offset.max():+.2f} s from the true time")
if backwards < 10:
    sys.exit("changed: the times of the AVI's frames no longer jump back and forth")
PY
venv/bin/python check.py
echo "the behaviour is still there"
