"""What the page says, by language: ``translations/LANGUAGE/*.json``, flat objects of texts by key.

English is complete; whatever another language lacks is said in English.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

__all__ = ["LANGUAGES", "Texts", "texts_for"]

_FOLDER = Path(__file__).parent / "translations"

LANGUAGES = tuple(sorted(path.name for path in _FOLDER.iterdir() if path.is_dir()))
"""Those that there are texts in, by their tag (BCP 47)."""


class Texts:
    """The texts of one language.

    Args:
        language: Its tag.
        texts: By key.
    """

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self._texts = dict(texts)

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with values put in where it says ``{name}``.

        Raises:
            KeyError: There is none.
        """
        text = self._texts[key]
        return text.format(**values) if values else text

    def of(self, group: str, name: str) -> str:
        """The text of ``GROUP.NAME``; the name as it is where there is none."""
        return self._texts.get(f"{group}.{name}", name)

    @property
    def for_scripts(self) -> dict[str, str]:
        """Those that scripts say: their keys begin with ``js.``."""
        return {key: text for key, text in self._texts.items() if key.startswith("js.")}


@lru_cache(maxsize=16)
def _texts(language: str) -> Texts:
    found: dict[str, str] = {}
    for name in ("en", language):
        for path in sorted((_FOLDER / name).glob("*.json")):
            found |= json.loads(path.read_text(encoding="utf-8"))
    return Texts(language, found)


def texts_for(accepted: str) -> Texts:
    """The texts in the first language that a browser wants and that there is.

    Args:
        accepted: The header ``Accept-Language``, such as ``de-AT,de;q=0.9,en;q=0.5``.
    """
    wanted = []
    for place, item in enumerate(accepted.split(",")):
        tag, _, quality = item.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        wanted.append((-weight, place, tag.partition("-")[0].lower()))
    for _, _, tag in sorted(wanted):
        if tag in LANGUAGES:
            return _texts(tag)
    return _texts("en")
