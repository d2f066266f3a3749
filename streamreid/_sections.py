"""The strict pydantic models that everything read from a file is checked by: unknown keys are mistakes, values do not
change, numbers are finite. Their settings are marked by whom they are for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.config import JsonDict

__all__ = ["Level", "Section", "Strict", "as_text", "basic", "experimental", "level_of"]

Level = Literal["basic", "advanced", "experimental"]
"""Who a setting is for: everybody; who has measured that it helps; papers and comparisons. A setting without a mark is
advanced."""


class Strict(BaseModel):
    """A record written by the program: a manifest, a report."""

    # Without the input: pydantic's own message would show passwords.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Section(Strict):
    """A section of settings that a user writes; its defaults are checked as well."""

    model_config = ConfigDict(validate_default=True)

    def contradictions(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """What is wrong between its parts: the place of each mistake, and what it is."""
        return ()

    @field_validator("*", mode="before")
    @classmethod
    def _word(cls, value: Any, info: ValidationInfo) -> Any:
        # To YAML, on and off are truth values; where a setting has these words, they are meant. Else pydantic would
        # take true for 1.
        if isinstance(value, bool) and info.field_name is not None:
            wanted = cls.model_fields[info.field_name].annotation
            word, kinds = ("off", "on")[value], {wanted, *get_args(wanted)}
            if word in kinds:
                return word
            if kinds & {int, float} and bool not in kinds:
                raise ValueError("expected a number")
        return value


def basic(unit: str = "", *, low: str = "", high: str = "") -> JsonDict:
    """Marks a setting that every user may have to decide, for ``json_schema_extra``.

    Args:
        unit: Of its values.
        low: What happens if it is too low.
        high: What happens if it is too high.
    """
    found: JsonDict = {"x-level": "basic", "x-unit": unit, "x-too-low": low, "x-too-high": high}
    return {key: value for key, value in found.items() if value}


def advanced(unit: str, *, low: str = "", high: str = "") -> JsonDict:
    """The same of a setting that few users have to decide."""
    return {key: value for key, value in basic(unit, low=low, high=high).items() if key != "x-level"}


def experimental() -> JsonDict:
    """Marks a setting that is for comparisons only: it is accepted, but not shown, and may go with any version."""
    return {"x-level": "experimental"}


def level_of(extra: Any) -> Level:
    """The level that ``json_schema_extra`` of a field, or a property of the JSON schema, says."""
    found: Level = extra.get("x-level", "advanced") if isinstance(extra, dict) else "advanced"
    return found


def as_text(value: Any) -> Any:
    """What YAML took for a whole number, as it was written."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
