"""The word that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]

_CUTOFF = 0.7
"""Least likeness (difflib) to be worth naming: detecter/detector has .88, ffmpeg/offset .5."""

_LONGEST = 80
"""Characters from which a word is not compared: no key is so long, and comparing takes the product of the lengths."""

_SHORT = 4
"""Up to so many characters, one wrong letter is enough to fall below the cutoff (url/uri)."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` probably stands for, or None.

    >>> nearest("detecter", ["detector", "engine"])
    'detector'
    >>> nearest("ffmpeg", ["offset", "uri"]) is None
    True
    """
    names = sorted(set(known))
    if len(word) > _LONGEST:
        return None
    plain = {name.lower().replace("-", "_"): name for name in names}
    meant = word.lower().replace("-", "_").strip()
    if meant in plain:
        return plain[meant]
    longer = [name for name in plain if len(meant) >= 3 and name.startswith(meant)]
    shorter = [name for name in plain if len(name) >= _SHORT and meant.startswith(f"{name}_")]
    if len(longer or shorter) == 1:
        return plain[(longer or shorter)[0]]
    close = difflib.get_close_matches(meant, plain, n=1, cutoff=_CUTOFF)
    if close:
        return plain[close[0]]
    if len(meant) <= _SHORT:
        return next((plain[name] for name in plain if _one_letter(meant, name)), None)
    return None


def _one_letter(a: str, b: str) -> bool:
    return len(a) == len(b) > 2 and sum(x != y for x, y in zip(a, b, strict=True)) == 1
