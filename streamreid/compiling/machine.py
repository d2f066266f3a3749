"""What this machine is, as far as a compiled graph depends on it, and in what another one differs."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from streamreid.compiling.records import PLAN_TARGETS, DeviceFingerprint, TargetName
from streamreid.errors import EngineError

__all__ = ["BINDINGS", "Gpu", "differences", "find_gpu", "fingerprint", "import_bindings"]

BINDINGS: dict[str, tuple[str, str, str]] = {
    "tensorrt": ("tensorrt", "tensorrt_bindings", "tensorrt"),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt-rtx"),
}
"""Target -> module to import, the module that the bare bindings install, the extra that brings it."""

_COMPUTE_MAJOR, _COMPUTE_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True, slots=True)
class Gpu:
    """An NVIDIA GPU that CUDA can use.

    Args:
        name: As its maker calls it.
        compute_capability: Such as "9.0".
        driver: Version of the driver.
    """

    name: str
    compute_capability: str
    driver: str


@lru_cache(maxsize=1)
def find_gpu() -> Gpu | None:
    """The first GPU that CUDA would use here; None without one or without its driver. No package is needed."""
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        device, value, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(128)
        if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDeviceGetName(name, len(name), device):
            return None
        numbers = []
        for attribute in (_COMPUTE_MAJOR, _COMPUTE_MINOR):
            if cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
                return None
            numbers.append(str(value.value))
        cuda.cuDriverGetVersion(ctypes.byref(value))
    except (OSError, AttributeError):
        return None
    return Gpu(
        name.value.decode(errors="replace"),
        ".".join(numbers),
        _driver() or f"CUDA {value.value // 1000}.{value.value % 1000 // 10}",
    )


def import_bindings(target: TargetName) -> ModuleType:
    """The Python module of TensorRT or TensorRT for RTX.

    Raises:
        EngineError: It is not installed, or its libraries cannot be loaded.
    """
    full, bare, extra = BINDINGS[target]
    name = full if importlib.util.find_spec(full) is not None else bare
    if importlib.util.find_spec(name) is None:
        raise EngineError(
            f"{target}: the package '{full}' is not installed here. Install it with: pip install 'streamreid[{extra}]'"
        )
    try:
        return importlib.import_module(name)
    except Exception as error:  # missing libraries show as ImportError, OSError, RuntimeError or FileNotFoundError
        raise EngineError(
            f"{target}: '{name}' is installed but cannot be loaded: "
            f"{str(error).splitlines()[0] if str(error) else error!r}"
        ) from None


def fingerprint(target: TargetName) -> DeviceFingerprint:
    """What a graph that is compiled here, now, for that target depends on.

    Raises:
        EngineError: The target's library is not installed.
    """
    system = f"{sys.platform} {platform.machine()}"
    if target in PLAN_TARGETS:
        module, gpu = import_bindings(target), find_gpu()
        version = str(module.__version__)
        if gpu is None:
            return DeviceFingerprint(library=target, library_version=version, system=system)
        return DeviceFingerprint(
            library=target,
            library_version=version,
            driver=gpu.driver,
            device=gpu.name,
            compute_capability=gpu.compute_capability,
            system=system,
        )
    try:
        version = importlib.metadata.version(target)
    except importlib.metadata.PackageNotFoundError:
        raise EngineError(f"{target}: not installed here. Install it with: pip install {target}") from None
    return DeviceFingerprint(library=target, library_version=version, device=_cpu(), system=system)


def differences(built: DeviceFingerprint, here: DeviceFingerprint) -> list[str]:
    """In what two machines differ, one phrase each; nothing where one of them does not say."""
    what = (
        ("library_version", f"{built.library} version"),
        ("device", "device"),
        ("compute_capability", "compute capability"),
        ("driver", "driver"),
        ("system", "system"),
    )
    pairs = [(label, getattr(built, key), getattr(here, key)) for key, label in what]
    if built.library != here.library:
        pairs.insert(0, ("library", built.library, here.library))
    return [f"{label} {old} when built, {new} here" for label, old, new in pairs if old and new and old != new]


def _driver() -> str:
    """Version of the NVIDIA driver, from its management library."""
    with suppress(OSError, AttributeError):
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        text = ctypes.create_string_buffer(96)
        if nvml.nvmlInit_v2() == 0 and nvml.nvmlSystemGetDriverVersion(text, len(text)) == 0:
            return text.value.decode(errors="replace")
    return ""


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
