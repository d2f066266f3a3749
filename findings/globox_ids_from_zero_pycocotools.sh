#!/usr/bin/env bash
# Ground truth that globox writes as COCO gives perfect detections an AP below 1 in pycocotools: ids start at 0.
#
# Versions: globox 2.9.0, pycocotools 2.0.11, numpy 2.4.6, Python 3.11.
#
# Behaviour: AnnotationSet.to_coco(auto_ids=True) of globox numbers annotations from 0. pycocotools notes the
# id of the matched annotation per detection and reads 0 as "no match", so the detection that found annotation 0
# is a false positive and the annotation counts as missed. Neither library says a word. globox's own
# COCOEvaluator gives 1.0 on the same boxes.
#
# Output seen:
#   ids of the annotations: [0, 1, 2, 3, 4, 5]
#   globox COCOEvaluator              AP 1.000
#   pycocotools, ids as globox wrote  AP 0.693  AR 0.833
#   pycocotools, ids from 1           AP 1.000  AR 1.000
#
# Why it matters: person detectors are often compared on a few hundred labelled frames of the site's own
# cameras; per camera there may be a dozen boxes. The box with id 0 is a certain miss, and where the same
# detection has the highest confidence it lowers precision at every recall. Two detectors can change places by
# which of them is surer of the first person. Number annotations from 1 before an evaluation.
#
# Source: globox/annotationset.py, AnnotationSet.to_coco; pycocotools/cocoeval.py, evaluateImg (dtm starts as
# zeros and stores gt ids) and accumulate (np.logical_and(dtm, ...)). The COCO data format asks only for a
# unique integer. The COCO side is known (cocoapi pull request 332); faster-coco-eval warns of id 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check globox==2.9.0 pycocotools==2.0.11 numpy==2.4.6
cat > check.py <<'PY'
import contextlib
import io
import json
import sys

from globox import Annotation, AnnotationSet, BoundingBox, COCOEvaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

BOX = dict(xmin=10, ymin=20, xmax=110, ymax=220)
truth, found = AnnotationSet(), AnnotationSet()
for number in range(6):  # six pictures with one person each, found exactly; the first with the highest confidence
    name = f"{number}.jpg"
    truth.add(Annotation(name, (640, 480), [BoundingBox(label="person", **BOX)]))
    found.add(Annotation(name, (640, 480), [BoundingBox(label="person", confidence=0.9 - 0.1 * number, **BOX)]))

coco = truth.to_coco(auto_ids=True)
print("ids of the annotations:", [a["id"] for a in coco["annotations"]])


def pycocotools_ap(first_id):
    data = json.loads(json.dumps(coco))
    for number, annotation in enumerate(data["annotations"]):
        annotation["id"] = first_id + number
    images = {image["file_name"]: image["id"] for image in data["images"]}
    detections = [
        {"image_id": images[f"{number}.jpg"], "category_id": data["categories"][0]["id"],
         "bbox": [10, 20, 100, 200], "score": 0.9 - 0.1 * number}
        for number in range(6)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO()
        api.dataset = data
        api.createIndex()
        run = COCOeval(api, api.loadRes(detections), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0]), float(run.stats[8])


own = COCOEvaluator(ground_truths=truth, predictions=found).ap()
zero, one = pycocotools_ap(0), pycocotools_ap(1)
print(f"globox COCOEvaluator              AP {own:.3f}")
print(f"pycocotools, ids as globox wrote  AP {zero[0]:.3f}  AR {zero[1]:.3f}")
print(f"pycocotools, ids from 1           AP {one[0]:.3f}  AR {one[1]:.3f}")
if coco["annotations"][0]["id"] != 0:
    sys.exit("changed: globox no longer numbers annotations from 0")
if not (own > 0.999 and one[0] > 0.999 and zero[0] < 0.95):
    sys.exit("changed: an annotation with id 0 no longer counts as missed in pycocotools")
PY
venv/bin/python check.py
echo "the behaviour is still there"
