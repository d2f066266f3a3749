"""The crop kernel: its definition against OpenCV, its source on this CPU and through NVRTC, and on a GPU where there is
one."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.errors import EngineError
from streamreid.runtimes import ImageInput
from streamreid.runtimes.crop_kernel import SOURCE, compile_kernel, nearest_architecture, reference
from streamreid.runtimes.crop_packing import pack_boxes, pack_pictures

PLAIN = ImageInput("bgr", (1.0, 1.0, 1.0))
IMAGENET = ImageInput("rgb", (1 / 58.395, 1 / 57.12, 1 / 57.375), (-2.1179, -2.0357, -1.8044))


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def on_cpu(image: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int], convert: ImageInput) -> np.ndarray:
    """The CPU path: OpenCV, then the conversion in front of the graph."""
    x1, y1, x2, y2 = box
    return convert.apply(cv2.resize(image[y1:y2, x1:x2], size[::-1], interpolation=cv2.INTER_LINEAR)[None])[0]


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([(64, 32), (37, 21), (8, 8)]), st.integers(0, 99))
def test_its_definition_is_opencv_s_resize(width: int, height: int, size: tuple[int, int], seed: int) -> None:
    image = picture(width + 6, height + 5, seed)
    box = (2, 3, 2 + width, 3 + height)
    found, expected = reference(image, box, size, PLAIN), on_cpu(image, box, size, PLAIN)
    if height == 2 * size[0] and width == 2 * size[1]:  # OpenCV averages four pixels there
        assert np.abs(found - expected).max() <= 1
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 64, 128), (10, 20, 138, 276), (3, 5, 259, 517), (299, 599, 300, 600), (0, 0, 300, 600), (7, 0, 8, 600)],
)
@pytest.mark.parametrize("convert", [PLAIN, IMAGENET])
def test_boxes_at_borders_and_of_special_sizes(box: tuple[int, int, int, int], convert: ImageInput) -> None:
    image = picture(300, 600)
    found, expected = reference(image, box, (256, 128), convert), on_cpu(image, box, (256, 128), convert)
    one_level = 1.01 * max(convert.scale) if (box[2] - box[0], box[3] - box[1]) == (256, 512) else 0
    assert np.abs(found - expected).max() <= one_level


def test_pixels_outside_of_the_box_are_never_mixed_in() -> None:
    image = np.full((50, 40, 3), 255, np.uint8)
    image[10:30, 5:20] = 7
    assert (reference(image, (5, 10, 20, 30), (64, 32), PLAIN) == 7).all()


HOST = r"""
#include <math.h>
#include <algorithm>
using std::min; using std::max;
#define __device__
#define __global__
struct Index { int x, y, z; };
static Index blockIdx, blockDim = {1, 1, 1}, threadIdx = {0, 0, 0};
static double __dmul_rn(double a, double b) { return a * b; }
static double __dadd_rn(double a, double b) { return a + b; }
static double __ddiv_rn(double a, double b) { return a / b; }
static float __fmul_rn(float a, float b) { return a * b; }
static float __fadd_rn(float a, float b) { return a + b; }
static int __float2int_rn(float a) { return (int)nearbyintf(a); }
%s
extern "C" void run(const unsigned char* pixels, const long long* starts, const int* table, float* result,
                    int count, int height, int width, int rgb, const float* s, const float* b) {
    for (blockIdx.z = 0; blockIdx.z < count; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < height + 3; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < width + 3; ++blockIdx.x)
                streamreid_crops(pixels, starts, table, result, count, height, width, rgb,
                                 s[0], s[1], s[2], b[0], b[1], b[2]);
}
"""


@pytest.fixture(scope="module")
def host_kernel(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernel's own source, compiled for this CPU."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "kernel.cpp").write_text(HOST % SOURCE)
    library = folder / "kernel.so"
    subprocess.run(
        [compiler, "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o", library, folder / "kernel.cpp"], check=True
    )
    return ctypes.CDLL(str(library))


def run_on_host(library: ctypes.CDLL, packing: object, size: tuple[int, int], convert: ImageInput) -> np.ndarray:
    pixels, count = np.zeros(packing.size, np.uint8), len(packing.starts)
    packing.write(pixels)
    result = np.full((count, 3, *size), np.nan, np.float32)
    scale, bias = np.float32(convert.scale), np.float32(convert.bias)
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (pixels, packing.starts, packing.table, result)]
    numbers = [ctypes.c_int(v) for v in (count, *size, int(convert.color == "rgb"))]
    library.run(*pointers, *numbers, *(a.ctypes.data_as(ctypes.c_void_p) for a in (scale, bias)))
    return result


@pytest.mark.parametrize("convert", [PLAIN, IMAGENET])
def test_the_source_computes_its_definition(host_kernel: ctypes.CDLL, convert: ImageInput) -> None:
    rng = np.random.default_rng(4)
    frames = [picture(320, 240, 1), picture(90, 200, 2), picture(50, 40, 3)]
    which, boxes = [], []
    for number, frame in enumerate(frames):
        for _ in range(9):
            x, y = np.sort(rng.integers(0, frame.shape[1] + 1, 2)), np.sort(rng.integers(0, frame.shape[0] + 1, 2))
            boxes.append((x[0], y[0], max(x[1], x[0] + 1), max(y[1], y[0] + 1)))
            which.append(number)
    boxes = np.array(boxes)
    limits = np.array([f.shape[1::-1] * 2 for f in frames])[which]
    boxes = np.where(boxes > limits, limits, boxes)
    boxes[:, :2] = np.minimum(boxes[:, :2], boxes[:, 2:] - 1)
    packing = pack_boxes(frames, np.array(which), boxes)
    found = run_on_host(host_kernel, packing, (64, 32), convert)
    for row, (number, box) in enumerate(zip(which, boxes.tolist(), strict=True)):
        np.testing.assert_array_equal(found[row], reference(frames[number], tuple(box), (64, 32), convert))


def test_pictures_of_the_right_size_are_only_converted(host_kernel: ctypes.CDLL) -> None:
    pictures = np.stack([picture(32, 64, seed) for seed in range(5)])
    np.testing.assert_array_equal(
        run_on_host(host_kernel, pack_pictures(pictures), (64, 32), IMAGENET), IMAGENET.apply(pictures)
    )
    assert run_on_host(host_kernel, pack_pictures(pictures[:0]), (64, 32), IMAGENET).shape == (0, 3, 64, 32)


class TestPacking:
    def test_a_frame_full_of_people_goes_up_whole_a_few_people_alone(self) -> None:
        frames = [picture(100, 100), picture(200, 100)]
        boxes = np.array([[0, 0, 100, 60], [0, 40, 100, 100], [0, 0, 10, 20], [50, 50, 70, 90]])
        packing = pack_boxes(frames, np.array([0, 0, 1, 1]), boxes)
        assert [r.shape for r in packing.regions] == [(100, 100, 3), (20, 10, 3), (40, 20, 3)]
        assert packing.size == 3 * (10_000 + 200 + 800)
        flat = np.zeros(packing.size, np.uint8)
        packing.write(flat)
        for start, (stride, x1, y1, x2, y2), which, box in zip(
            packing.starts, packing.table, [0, 0, 1, 1], boxes, strict=True
        ):
            rows = [flat[start + y * stride + 3 * x1 : start + y * stride + 3 * x2] for y in range(y1, y2)]
            np.testing.assert_array_equal(
                np.stack(rows).reshape(y2 - y1, -1, 3), frames[which][box[1] : box[3], box[0] : box[2]]
            )

    @pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 11, 5), (3, 3, 3, 8), (0, 9, 5, 8)])
    def test_boxes_that_leave_the_frame_are_refused(self, box: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="10 x 10"):
            pack_boxes([picture(10, 10)], np.array([0]), np.array([box]))


def test_architectures() -> None:
    assert nearest_architecture((9, 0), [75, 80, 90, 100]) == "sm_90"
    assert nearest_architecture((8, 6), [75, 80, 90]) == "compute_80"
    assert nearest_architecture((13, 0), [75, 90]) == "compute_90"
    with pytest.raises(EngineError, match=r"as old as compute capability 6\.1"):
        nearest_architecture((6, 1), [75, 80])


@pytest.mark.parametrize("capability", [(7, 5), (8, 6), (9, 0), (99, 0)])
def test_nvrtc_compiles_it_without_a_gpu(capability: tuple[int, int]) -> None:
    pytest.importorskip(
        "cuda.bindings.nvrtc", reason="needs NVRTC (pip install 'cuda-bindings[all]')", exc_type=ImportError
    )
    try:
        code = compile_kernel(capability)
    except EngineError as error:
        pytest.skip(f"NVRTC's library is not here: {error}")
    assert b"streamreid_crops" in code
    assert code.startswith(b"\x7fELF") == (capability != (99, 0))


def test_without_any_compiler_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name.startswith("cuda") else real(name, *a)
    )
    if real("pycuda") is not None:
        pytest.skip("pycuda is installed here and may find nvcc")
    with pytest.raises(EngineError, match="pip install"):
        compile_kernel((9, 0))


@pytest.mark.gpu
def test_on_the_gpu() -> None:
    """The kernel on the real device, against the CPU path."""
    pytest.importorskip("pycuda")
    from streamreid.runtimes.crop_kernel import KERNEL
    from streamreid.runtimes.cuda_device import CudaDevice

    device = CudaDevice()
    frames = [picture(1920, 1080, 1), picture(640, 480, 2)]
    rng = np.random.default_rng(0)
    which = np.repeat([0, 1], 32)
    corner = rng.integers(0, 300, (64, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 180, (64, 2))], 1)
    packing = pack_boxes(frames, which, boxes)
    with device.active():
        kernel = device.kernel(compile_kernel(device.capability), KERNEL)
        stream = device.stream()
        host = [
            device.pinned((packing.size,), np.uint8),
            device.pinned((64,), np.int64),
            device.pinned((64, 5), np.int32),
        ]
        packing.write(host[0])
        host[1][:], host[2][:] = packing.starts, packing.table
        there = [device.memory(a.nbytes) for a in host]
        result, back = device.memory(64 * 3 * 256 * 128 * 4), device.pinned((64, 3, 256, 128), np.float32)
        for memory, array in zip(there, host, strict=True):
            device.upload(memory, array, stream)
        numbers = [64, 256, 128, 1, *map(float, (*IMAGENET.scale, *IMAGENET.bias))]
        device.launch(kernel, [*there, result, *numbers], (4, 32, 64), (32, 8, 1), stream)
        device.download(back, result, stream)
        stream.synchronize()
    for row in range(64):
        np.testing.assert_array_equal(
            back[row], reference(frames[which[row]], tuple(boxes[row].tolist()), (256, 128), IMAGENET)
        )
        expected = on_cpu(frames[which[row]], tuple(boxes[row].tolist()), (256, 128), IMAGENET)
        assert np.abs(back[row] - expected).max() <= 1.01 * max(IMAGENET.scale)
