"""OpenVINO's Python module, initialised by one thread before any other uses it.

OpenVINO's Python module fills its tables of NumPy types at the first conversion between an array and a Tensor. Two
threads that do this at the same moment can wait for each other for ever: one holds the C++ guard of the table and waits
for Python's global lock, the other holds the lock and waits for the guard (OpenVINO 2026.4.1, seen once in some hundred
starts). So nothing in this package imports ``openvino`` but :func:`openvino_module`.

The module also imports its converter of other frameworks' models, which takes longer than all the rest and tells
Intel's telemetry of it. Nothing here converts; the converter is left to whoever asks for ``openvino.convert_model``.
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any

import numpy as np

from streamreid._startup import starting

__all__ = ["openvino_module"]

_lock = threading.Lock()
_initialised: list[Any] = []
_CONVERTER = "openvino.tools.ovc"


def openvino_module() -> Any:
    """The module ``openvino``. The first call converts an array to a Tensor and back; calls by other threads wait until
    that is done.

    Raises:
        ImportError: It is not installed.
    """
    if _initialised:
        return _initialised[0]
    with starting("initialising OpenVINO"), _lock:
        if not _initialised:
            openvino = _import()
            for kind in (np.float32, np.uint8):  # the types of all our inputs and outputs
                for shared in (False, True):
                    _ = openvino.Tensor(np.zeros((1, 1), kind), shared_memory=shared).data
            _initialised.append(openvino)
    return _initialised[0]


def _import() -> Any:
    """``openvino`` without its converter, where nobody has imported it before."""
    leave_out = not {"openvino", _CONVERTER} & set(sys.modules)
    if leave_out:
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]  # Python's word for a module that is not there
    try:
        import openvino
    finally:
        if leave_out:
            del sys.modules[_CONVERTER]
    if leave_out and not hasattr(openvino, "convert_model"):
        openvino.__getattr__ = _converter
    return openvino


def _converter(name: str) -> Any:
    """What ``openvino`` lacks: the converter is imported when it is asked for."""
    if name == "convert_model":
        return importlib.import_module(_CONVERTER).convert_model
    raise AttributeError(f"module 'openvino' has no attribute '{name}'")
