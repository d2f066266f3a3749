"""What a recipe says of one dataset."""

from __future__ import annotations

from pydantic import Field

from streamreid._sections import Section
from streamreid.datasets.layouts import Layout

__all__ = ["DatasetConfig"]


class DatasetConfig(Section):
    """One folder of person pictures, and the folder of their class maps."""

    images: str = Field(description="Folder of the training pictures.")
    layout: Layout = Field(
        default="market",
        description="How the folder is laid out: market, msmt17, cuhk03, occluded_reid, p_dukemtmc or tracks.",
    )
    labels: str = Field(description="Folder that `streamreid parse-labels` wrote.")
    exclude: tuple[int, ...] = Field(default=(), description="Person numbers that are left out.")
    validation: int = Field(
        default=0, ge=0, description="The last so many people are held out for validation and calibration."
    )
