"""The strict pydantic models that everything read from a file is checked by: unknown keys are mistakes, values do not
change, numbers are finite."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Section", "Strict"]


class Strict(BaseModel):
    """A record written by the program: a manifest, a report."""

    # Without the input: pydantic's own message would show passwords.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Section(Strict):
    """A section of settings that a user writes; its defaults are checked as well."""

    model_config = ConfigDict(validate_default=True)
