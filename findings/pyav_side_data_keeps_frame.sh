#!/usr/bin/env bash
# One look at `frame.side_data` in PyAV keeps the decoded picture until Python's cyclic garbage collector runs.
#
# Versions: av 18.1.0 (with the FFmpeg libraries in its wheel), numpy 2.4.6, Python 3.11, Linux x86-64.
#
# Behaviour: `Frame.side_data` makes a SideDataContainer, which refers to the frame, and stores it in the frame. From
# then on the frame is part of a reference cycle, also where it has no side data at all, and is no longer freed with
# the last reference to it. The collector comes after some hundreds of new objects, whatever they hold: a frame
# counts as three small ones and has 3 MB of picture at 1080p. Frames that outlive two collections, as those in a queue,
# wait for the third generation, which a program with many objects hardly ever collects.
#
# Output seen (peak resident memory while 600 pictures of 1920x1080 are decoded, none of which is kept):
#   as they come:                     49 MiB
#   side_data is looked at:           690 MiB
#   SideDataContainer(frame) instead: 49 MiB
#
# Why it matters: the display matrix, by which phones say how a picture is turned and mirrored, is only in side_data
# (frame.rotation leaves out the mirror), so careful readers look at it in every frame. Memory then grows and falls by
# hundreds of megabytes, or grows for hours, and tracemalloc shows nothing, because FFmpeg's buffers are not Python's.
# SideDataContainer(frame) from av.sidedata.sidedata gives the same without the cycle.
#
# Source: av/frame.py, Frame.side_data; av/sidedata/sidedata.py, _SideDataContainer.__init__ (self.frame = frame).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cat > make.py <<'PY'
import av
import numpy as np

with av.open("video.mp4", "w") as container:
    stream = container.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
    frame = av.VideoFrame.from_ndarray(np.full((1080, 1920, 3), 90, np.uint8), format="bgr24")
    for _ in range(600):
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
PY
cat > peak.py <<'PY'
import resource
import sys

import av
from av.sidedata.sidedata import SideDataContainer

with av.open("video.mp4") as container:
    for frame in container.decode(video=0):
        if sys.argv[1] == "look":
            frame.side_data
        elif sys.argv[1] == "beside":
            SideDataContainer(frame)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
PY
venv/bin/python make.py
plain=$(venv/bin/python peak.py plain)
look=$(venv/bin/python peak.py look)
beside=$(venv/bin/python peak.py beside)
echo "as they come:                     $plain MiB"
echo "side_data is looked at:           $look MiB"
echo "SideDataContainer(frame) instead: $beside MiB"
[ "$look" -gt $((plain + 300)) ] || { echo "changed: looking at side_data does not raise the peak of memory by 300 MiB"; exit 1; }
[ "$beside" -lt $((plain + 100)) ] || { echo "changed: SideDataContainer(frame) raises the peak of memory, too"; exit 1; }
