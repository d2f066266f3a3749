#!/usr/bin/env bash
# HEVC that is coded as fields comes from PyAV as pictures of half the height at twice the rate.
#
# Versions: av 18.1.0 (with the FFmpeg libraries in its wheel), numpy 2.4.6, Python 3.11, Linux x86-64.
#
# Behaviour: HEVC has no interlaced frames; an interlaced source is coded as a sequence of single fields, and
# a display joins two of them (field_seq_flag in the VUI, pic_struct in SEI). FFmpeg's decoder returns the fields:
# a 352x288 recording at 25 frames/s becomes 352x144 at 50 frames/s, and nothing says that the pixels aren't
# square any more. frame.interlaced_frame is true, as for interlaced H.264; but there it means two
# fields in one full frame, so a reader that deinterlaces on this mark makes the pictures worse.
#
# Output seen:
#   h264.mp4: 10 frames of 352x288 at 25/s, interlaced_frame True, pixel ratio None, person 200 pixels tall
#   hevc.mp4: 20 frames of 352x144 at 50/s, interlaced_frame True, pixel ratio None, person 100 pixels tall
#
# Why it matters: interlaced broadcast and analog sources behind an H.265 encoder arrive this way. People are
# squashed to half their height, which detectors and ReID models weren't trained on; y of boxes and of the feet on
# the ground has half the scale, so a calibration made on full frames projects to the wrong place. Successive
# fields also lie one line apart, so boxes bob. Weave the fields (ffmpeg -vf weave) or double the height first.
#
# Source: ITU-T H.265 annex E (field_seq_flag) and annex D (pic_struct, table D.2); FFmpeg ticket 5514.
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

WIDTH, HEIGHT, FRAMES = 352, 288, 10


def scene(number):
    """A person, 60 x 200 pixels, who walks to the right: a light box on grey."""
    picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    picture[40:240, 20 + 8 * number : 80 + 8 * number] = 230
    return picture


def write(path, codec, fields):
    options = {"x264-params": "interlaced=1:tff=1"}
    if codec == "libx265":
        options = {"x265-params": "log-level=none:interlace=tff"}
    with av.open(path, "w") as out:
        stream = out.add_stream(codec, rate=50 if fields else 25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT // 2 if fields else HEIGHT, "yuv420p"
        for number in range(FRAMES):
            picture = scene(number)
            for part in (picture[0::2], picture[1::2]) if fields else (picture,):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(part), format="rgb24")
                out.mux(stream.encode(frame))
        out.mux(stream.encode())


def look(path):
    with av.open(path) as source:
        stream = source.streams.video[0]
        frames = list(source.decode(stream))
        ratio, rate = stream.sample_aspect_ratio, stream.average_rate
    tall = int((frames[0].to_ndarray(format="gray")[:, 50] > 150).sum())
    print(f"{path}: {len(frames)} frames of {frames[0].width}x{frames[0].height} at {rate}/s, "
          f"interlaced_frame {bool(frames[0].interlaced_frame)}, pixel ratio {ratio}, person {tall} pixels tall")
    return len(frames), frames[0].height, bool(frames[0].interlaced_frame), tall


write("h264.mp4", "libx264", fields=False)
write("hevc.mp4", "libx265", fields=True)
h264, hevc = look("h264.mp4"), look("hevc.mp4")
if h264 != (FRAMES, HEIGHT, True, 200):
    sys.exit("changed: interlaced H.264 no longer comes as full frames")
if hevc != (2 * FRAMES, HEIGHT // 2, True, 100):
    sys.exit("changed: HEVC fields no longer come as frames of half the height")
PY
venv/bin/python check.py
echo "the behaviour is still there"
