#!/usr/bin/env bash
# For NumKong's batched angular distance a row of zeros is the nearest neighbour of every query; for pairs it is far.
#
# Versions: numkong 7.8.6, numpy 2.4.6, Python 3.11, x86-64.
#
# Behaviour: numkong.angular(a, b) of two vectors of which one is zero is 1, as its documentation says (0 if both
# are). angulars_packed(), and cdist(..., "angular") of float32 and float64, give NaN there, or 0 where only the
# serial kernels are in use. numpy.argmin takes the first NaN, so either value makes the zero row the best match.
# cdist of float16 and int8 goes pair by pair and gives 1: the answer depends on the type of the features.
#
# Output seen (a CPU with AVX-512; distances of one query to five rows, the third of which is zero):
#   pairs            float32  0.20 0.23 1.00 0.24 0.24  nearest 0
#   cdist            float16  0.20 0.23 1.00 0.24 0.24  nearest 0
#   cdist            float32  0.20 0.23  nan 0.24 0.24  nearest 2
#   angulars_packed  float32  0.20 0.23  nan 0.24 0.24  nearest 2
#   angulars_packed  int8     0.20 0.23  nan 0.24 0.25  nearest 2
#
# Why it matters: part-based features of a hidden part are zeros, and so are rows of a gallery that were erased or
# not filled yet. A search that was tested with float16, or pair by pair, finds them last; with float32, or packed
# for speed, it finds them first. Take dot products and divide by lengths that are not zero, or mask such rows.
#
# Source: include/numkong/spatial/README.md (the rule for zero vectors, of pairs) and
# include/numkong/spatials/README.md (batched: the quotient, without such a rule) of the NumKong repository.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numkong==7.8.6 numpy==2.4.6
cat > check.py <<'PY'
import sys

import numkong
import numpy as np

ZERO = 2
rng = np.random.default_rng(0)
values = rng.uniform(0, 100, (6, 256))


def table(kind, dtype):
    rows = values.astype(dtype)
    query, gallery = rows[:1].copy(), rows[1:].copy()
    order = np.argsort([np.linalg.norm(query[0] / np.linalg.norm(query[0].astype(float)) -
                                       row / np.linalg.norm(row.astype(float))) for row in gallery])
    gallery = np.ascontiguousarray(gallery[order])
    gallery[ZERO] = 0
    if kind == "pairs":
        found = np.array([float(numkong.angular(query[0], row)) for row in gallery])
    elif kind == "cdist":
        found = np.asarray(numkong.cdist(query, gallery, "angular"))[0]
    else:
        found = np.asarray(numkong.angulars_packed(query, numkong.dots_pack(gallery)))[0]
    nearest = int(np.argmin(found))
    print(f"{kind:16} {np.dtype(dtype).name:8}", " ".join(f"{d:4.2f}" for d in found), f" nearest {nearest}")
    return found[ZERO], nearest


for kind, dtype in (("pairs", np.float32), ("cdist", np.float16)):
    if table(kind, dtype) != (1.0, 0):
        sys.exit(f"changed: {kind} of {np.dtype(dtype).name} no longer puts a zero row far away")
for kind, dtype in (("cdist", np.float32), ("angulars_packed", np.float32), ("angulars_packed", np.int8)):
    distance, nearest = table(kind, dtype)
    if nearest != ZERO:
        sys.exit(f"changed: {kind} of {np.dtype(dtype).name} no longer puts a zero row first (distance {distance})")
print("a zero row is nearest or farthest, depending on the function and the type")
PY
venv/bin/python check.py
