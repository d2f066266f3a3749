#!/usr/bin/env bash
# OpenCV's VideoCapture.read() returns True with no picture in it for every frame of an interlaced video.
#
# Versions: opencv-python-headless 5.0.0.93 (FFmpeg in its wheel), av 18.1.0 (writes the videos and is the
# second reader), numpy 2.4.6, Python 3.11, Linux x86-64. Version 4.14.0 of opencv-python-headless does the same.
#
# Behaviour: where the decoder marks a frame as interlaced, the conversion to BGR fails inside read(): swscale
# prints "Cannot convert interlaced to progressive frames or vice versa" on stderr, but read() returns True and an
# array of the right shape. Its content isn't the frame's picture and stays the same for all frames. The same
# pictures without the interlaced mark are read well, and PyAV reads both.
#
# Output seen:
#   video                  read() True  different pictures: OpenCV  PyAV
#   h264-progressive.mp4        10 of 10                     10        10
#   h264-interlaced.mp4         10 of 10                      1        10
#   mpeg2-interlaced.ts         10 of 10                      1        10
#   stderr of the run: 20 times: Cannot convert interlaced to progressive frames or vice versa.
#
# Why it matters: analog cameras behind an encoder, broadcast sources and older DVRs are interlaced. A program
# that checks the return value, as the examples do, goes on with these pictures, and nobody is ever seen by this
# camera. A "no signal" check on the return value or on the frame rate stays green.
#
# Source: OpenCV modules/videoio/src/cap_ffmpeg_impl.hpp, CvCapture_FFMPEG::retrieveFrame (conversion to BGR);
# FFmpeg libswscale (sws_scale_frame refuses when the interlaced marks of source and target differ). The project
# vLLM met it with OpenCV 4.13 (its pull request 47853); nothing in OpenCV's documentation says so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
cat > check.py <<'PY'
import sys

import av
import cv2
import numpy as np

WIDTH, HEIGHT, FRAMES = 352, 288, 10


def write(path, codec, options):
    """A person, 60 x 200 pixels, who walks to the right: a light box on grey."""
    with av.open(path, "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 4_000_000
        for number in range(FRAMES):
            picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
            picture[40:240, 20 + 8 * number : 80 + 8 * number] = 230
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def with_opencv(path):
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    answers = [capture.read() for _ in range(FRAMES)]
    capture.release()
    return [picture for good, picture in answers if good]


def with_pyav(path):
    with av.open(path) as source:
        return [frame.to_ndarray(format="bgr24") for frame in source.decode(video=0)]


def different(pictures):
    """How many different pictures there are: the person moves, so all of them should be."""
    return len({picture.tobytes() for picture in pictures})


CASES = (
    ("h264-progressive.mp4", "libx264", {}),
    ("h264-interlaced.mp4", "libx264", {"x264-params": "interlaced=1:tff=1"}),
    ("mpeg2-interlaced.ts", "mpeg2video", {"flags": "+ildct+ilme"}),
)
print("video                  read() True  different pictures: OpenCV  PyAV")
seen = {}
for path, codec, options in CASES:
    write(path, codec, options)
    opencv, pyav = with_opencv(path), with_pyav(path)
    seen[path] = len(opencv), different(opencv), different(pyav)
    good, by_opencv, by_pyav = seen[path]
    print(f"{path:<22}{good:>8} of {FRAMES}{by_opencv:>23}{by_pyav:>10}")
if seen["h264-progressive.mp4"] != (FRAMES, FRAMES, FRAMES):
    sys.exit("changed: the progressive video isn't read well by both")
if any(seen[path] != (FRAMES, 1, FRAMES) for path, *_ in CASES[1:]):
    sys.exit("changed: OpenCV no longer reports success without a picture for interlaced video")
PY
venv/bin/python check.py 2> messages.txt || { cat messages.txt; exit 1; }
times=$(grep -c "Cannot convert interlaced" messages.txt || true)
echo "stderr of the run: $times times: $(grep -m1 -o "Cannot convert interlaced.*" messages.txt || true)"
echo "the behaviour is still there"
