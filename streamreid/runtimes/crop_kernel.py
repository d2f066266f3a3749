"""One CUDA kernel that cuts boxes out of frames, resizes, converts and normalises them: from uint8 BGR pixels to the
graph's input.

It samples exactly as the CPU path does, which is OpenCV's ``resize`` with ``INTER_LINEAR`` on uint8. For a box of n
source pixels and m target pixels along an axis, target pixel i looks at

    f = float32((i + 0.5) * (n / m) - 0.5),  s = floor(f),  a1 = rint((f - s) * 2048),  a0 = rint((1 - (f - s)) * 2048)

at source pixels s and s + 1, both held inside the box (pixels outside of the box are never mixed in); along x the
fraction is 0 where that moves one of them. With h0, h1 the sums a0 p(s) + a1 p(s + 1) of the two rows, the value is

    v = (((b0 * (h0 >> 4)) >> 16) + ((b1 * (h1 >> 4)) >> 16) + 2) >> 2

in whole numbers, with b0, b1 the row weights. Then ``input = float32(v) * scale + bias``, each step rounded, as
`ImageInput` does. A picture halved exactly along both axes is averaged over 2 x 2 pixels, as OpenCV does; the formula
gives the same there up to one level of 255.

The kernel is compiled by NVRTC, which pip installs (``nvidia-cuda-nvrtc``), or by nvcc where that is what the machine
has.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineError
from streamreid.runtimes.base import ImageInput
from streamreid.types import FloatArray

__all__ = ["KERNEL", "SOURCE", "compile_kernel", "nearest_architecture", "reference"]

KERNEL = "streamreid_crops"

SOURCE = r"""
struct Tap { int first, second, w0, w1; };

__device__ Tap tap(int i, int source, int target, int horizontal) {
    // Written out so that no compiler fuses a product with a sum: the CPU rounds between them.
    double wide = __dmul_rn((double)i + 0.5, __ddiv_rn((double)source, (double)target));
    float f = (float)__dadd_rn(wide, -0.5);
    int s = (int)floorf(f);
    float t = __fadd_rn(f, -(float)s);
    if (horizontal && (s < 0 || s >= source - 1)) { s = s < 0 ? 0 : source - 1; t = 0.0f; }
    Tap r;
    r.w1 = __float2int_rn(__fmul_rn(t, 2048.0f));
    r.w0 = __float2int_rn(__fmul_rn(__fadd_rn(1.0f, -t), 2048.0f));
    r.first = min(max(s, 0), source - 1);
    r.second = min(max(s + 1, 0), source - 1);
    return r;
}

extern "C" __global__ void streamreid_crops(
    const unsigned char* pixels,   // all regions, one after the other
    const long long* starts,       // [count] first byte of each crop's region
    const int* table,              // [count, 5] bytes per row of the region, and the box in it: x1, y1, x2, y2
    float* result,                 // [count, 3, height, width]
    int count, int height, int width, int rgb,
    float s0, float s1, float s2, float b0, float b1, float b2)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    int y = blockIdx.y * blockDim.y + threadIdx.y;
    int n = blockIdx.z;
    if (x >= width || y >= height || n >= count) return;
    const int* row = table + 5 * n;
    const int stride = row[0], left = row[1], top = row[2];
    const int wide = row[3] - left, tall = row[4] - top;
    Tap h = tap(x, wide, width, 1), v = tap(y, tall, height, 0);
    const unsigned char* upper = pixels + starts[n] + (long long)(top + v.first) * stride;
    const unsigned char* lower = pixels + starts[n] + (long long)(top + v.second) * stride;
    const int p = 3 * (left + h.first), q = 3 * (left + h.second);
    const float scale[3] = {s0, s1, s2}, bias[3] = {b0, b1, b2};
    const long long plane = (long long)height * width;
    float* out = result + (long long)n * 3 * plane + (long long)y * width + x;
    for (int c = 0; c < 3; ++c) {
        int from = rgb ? 2 - c : c;
        int h0 = upper[p + from] * h.w0 + upper[q + from] * h.w1;
        int h1 = lower[p + from] * h.w0 + lower[q + from] * h.w1;
        int value = (((v.w0 * (h0 >> 4)) >> 16) + ((v.w1 * (h1 >> 4)) >> 16) + 2) >> 2;
        out[c * plane] = __fadd_rn(__fmul_rn((float)value, scale[c]), bias[c]);
    }
}
"""


def reference(
    picture: NDArray[np.uint8], box: tuple[int, int, int, int], size: tuple[int, int], image: ImageInput
) -> FloatArray:
    """What the kernel computes for one box, in numpy: for tests, and as its exact definition.

    Args:
        picture: ``[H, W, 3]`` uint8 BGR.
        box: xyxy in whole pixels inside the picture, at least 1 x 1.
        size: Height and width of the crop.
        image: Colour order, scale and bias.

    Returns:
        ``[3, height, width]`` float32.
    """
    x1, y1, x2, y2 = box
    region = picture[y1:y2, x1:x2].astype(np.int64)
    left, right, a0, a1 = _taps(x2 - x1, size[1], horizontal=True)
    upper, lower, b0, b1 = _taps(y2 - y1, size[0], horizontal=False)
    across = region[:, left] * a0[None, :, None] + region[:, right] * a1[None, :, None]
    b0, b1 = b0[:, None, None], b1[:, None, None]
    values = (((b0 * (across[upper] >> 4)) >> 16) + ((b1 * (across[lower] >> 4)) >> 16) + 2) >> 2
    result: FloatArray = image.apply(values.astype(np.uint8)[None])[0]
    return result


def _taps(source: int, target: int, *, horizontal: bool) -> tuple[NDArray[np.int64], ...]:
    f = ((np.arange(target) + 0.5) * (np.float64(source) / np.float64(target)) - 0.5).astype(np.float32)
    s = np.floor(f).astype(np.int64)
    t = f - s.astype(np.float32)
    if horizontal:
        outside = (s < 0) | (s >= source - 1)
        t[outside] = 0
        s = np.clip(s, 0, source - 1)
    w1 = np.rint(t * np.float32(2048)).astype(np.int64)
    w0 = np.rint((np.float32(1) - t) * np.float32(2048)).astype(np.int64)
    return np.clip(s, 0, source - 1), np.clip(s + 1, 0, source - 1), w0, w1


def nearest_architecture(capability: tuple[int, int], known: list[int]) -> str:
    """What to compile for: the GPU's own machine code where the compiler knows it, else the newest older virtual
    architecture.

    Args:
        capability: Compute capability of the GPU, such as (9, 0).
        known: Architectures that the compiler knows, such as 90.

    Raises:
        EngineError: The GPU is older than all of them.
    """
    wanted = 10 * capability[0] + capability[1]
    if wanted in known:
        return f"sm_{wanted}"
    older = [k for k in known if k < wanted]
    if not older:
        raise EngineError(
            f"the CUDA compiler knows no GPU as old as compute capability {capability[0]}.{capability[1]}; install an "
            "older one"
        )
    return f"compute_{max(older)}"


def compile_kernel(capability: tuple[int, int]) -> bytes:
    """Compile the kernel for a GPU; no GPU is needed for that.

    Machine code where possible, because it also loads with a driver that is older than the compiler.

    Args:
        capability: Compute capability of the GPU.

    Returns:
        Machine code (cubin) or PTX, for ``cuModuleLoadData``.

    Raises:
        EngineError: There is no compiler, or it refuses the source.
    """
    if importlib.util.find_spec("cuda") is not None and importlib.util.find_spec("cuda.bindings") is not None:
        try:
            return _with_nvrtc(importlib.import_module("cuda.bindings.nvrtc"), capability)
        except (RuntimeError, ImportError, OSError) as error:  # the bindings are there, the compiler's library is not
            reason = f"NVRTC cannot be loaded ({error})"
    else:
        reason = "the package 'cuda-bindings' is not installed"
    try:
        compiler: Any = importlib.import_module("pycuda.compiler")
        return bytes(compiler.compile(SOURCE, no_extern_c=True, arch=f"sm_{capability[0]}{capability[1]}"))
    except Exception as error:
        raise EngineError(
            f"the crop kernel cannot be compiled: {reason}, and nvcc does not work either "
            f"({str(error).splitlines()[0] if str(error) else error!r}). Install NVRTC: pip install "
            "'streamreid[tensorrt]'"
        ) from None


def _with_nvrtc(nvrtc: Any, capability: tuple[int, int]) -> bytes:
    def check(result: tuple[Any, ...]) -> Any:
        if int(result[0]) != 0:
            raise EngineError(f"the crop kernel cannot be compiled: NVRTC says {result[0].name}{log()}")
        return result[1] if len(result) == 2 else result[1:]

    def log() -> str:
        if program is None:
            return ""
        error, size = nvrtc.nvrtcGetProgramLogSize(program)
        text = b" " * (size if int(error) == 0 else 0)
        nvrtc.nvrtcGetProgramLog(program, text)
        told = text.strip(b" \0\n").decode(errors="replace")
        return f": {told}" if told else ""

    program: Any = None
    arch = nearest_architecture(capability, [int(a) for a in check(nvrtc.nvrtcGetSupportedArchs())])
    program = check(nvrtc.nvrtcCreateProgram(SOURCE.encode(), b"crops.cu", 0, [], []))
    try:
        options = [f"--gpu-architecture={arch}".encode(), b"--fmad=false"]
        check(nvrtc.nvrtcCompileProgram(program, len(options), options))
        kind = "CUBIN" if arch.startswith("sm_") else "PTX"
        data: bytes = b" " * check(getattr(nvrtc, f"nvrtcGet{kind}Size")(program))
        check(getattr(nvrtc, f"nvrtcGet{kind}")(program, data))
        return data
    finally:
        nvrtc.nvrtcDestroyProgram(program)
