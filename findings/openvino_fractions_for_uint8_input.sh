#!/usr/bin/env bash
# OpenVINO's Python API turns a picture scaled to 0..1 into a black one when the model's input is uint8.
#
# Versions: openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11, Linux x86-64, CPU.
#
# Behaviour: a detector exported with the preprocessing inside takes uint8. Given a float32 array, ONNX Runtime
# refuses. OpenVINO casts it with NumPy, silently: 0.9 becomes 0, 255.9 becomes 255, 256 becomes 0, -1 becomes
# 255. A picture in 0..1 arrives black except for full white (which is 1); a picture after a resize with
# overshoot arrives with white and black specks. NumPy warns only of NaN and infinity.
#
# Output seen:
#   uint8                    OpenVINO sees a mean of 128.10
#                            ONNX Runtime        128.10
#   float32 in 0..1          OpenVINO sees a mean of 0.00
#     ONNX Runtime refuses: Unexpected input data type. Actual : (tensor(float)) , expected: (tensor(uint8))
#   float32 with overshoot   OpenVINO sees a mean of 128.09
#     ONNX Runtime refuses: Unexpected input data type. Actual : (tensor(float)) , expected: (tensor(uint8))
#   255.9, 256, 260, -1 arrive as [255, 0, 4, 255]
#
# Why it matters: the same ONNX file is run by both runtimes, and "divide by 255" is the habit of this field.
# With OpenVINO such a camera simply never sees anyone; nothing fails. With bicubic or Lanczos resizing in
# float, bright clothes get black pixels, which changes the embedding. Compare the dtype of the array
# with compiled_model.input().element_type before the first frame.
#
# Source: OpenVINO src/bindings/python/src/openvino/utils/data_helpers/data_dispatcher.py (value.astype(tensor_dtype)
# in value_to_tensor). ONNX: the type of a graph input is part of the model.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > check.py <<'PY'
import sys
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, helper

warnings.simplefilter("error")  # any warning about the conversion would end this script
graph = helper.make_graph(
    [
        helper.make_node("Cast", ["picture"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["brightness"], keepdims=0),
    ],
    "brightness",
    [helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 3, 64, 64])],
    [helper.make_tensor_value_info("brightness", TensorProto.FLOAT, []),
     helper.make_tensor_value_info("real", TensorProto.FLOAT, [1, 3, 64, 64])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, "brightness.onnx")
openvino = ov.Core().compile_model("brightness.onnx", "CPU")
runtime = ort.InferenceSession("brightness.onnx", providers=["CPUExecutionProvider"])

picture = np.random.default_rng(1).integers(0, 255, (1, 3, 64, 64), dtype=np.uint8)
scaled = picture.astype(np.float32) / 255
overshoot = picture.astype(np.float32)
overshoot[0, 0, 0, :4] = 255.9, 256.0, 260.0, -1.0  # as a bicubic resize in float leaves at edges


def refuses(array):
    try:
        runtime.run(None, {"picture": array})
    except Exception as error:  # ONNX Runtime's own class isn't public
        print("  ONNX Runtime refuses:", str(error).split(":")[-3].strip(), str(error).split("Actual")[-1])
        return True
    return False


means = {}
for name, array in (("uint8", picture), ("float32 in 0..1", scaled), ("float32 with overshoot", overshoot)):
    result = openvino(array)
    means[name] = float(result["brightness"])
    print(f"{name:<24} OpenVINO sees a mean of {means[name]:.2f}")
    if name == "uint8":
        print(f"{'':<24} ONNX Runtime        {float(runtime.run(['brightness'], {'picture': array})[0]):.2f}")
    elif not refuses(array):
        sys.exit("changed: ONNX Runtime takes a float array for a uint8 input")
specks = openvino(overshoot)["real"][0, 0, 0, :4]
print("255.9, 256, 260, -1 arrive as", specks.astype(int).tolist())
if means["float32 in 0..1"] != 0 or specks.tolist() != [255, 0, 4, 255]:
    sys.exit("changed: OpenVINO no longer truncates a float array for a uint8 input without a word")
PY
venv/bin/python check.py
echo "the behaviour is still there"
