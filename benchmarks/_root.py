"""Importing this puts the repository on the module path: what tests and benchmarks share is in ``tests/support``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(1, str(ROOT))
