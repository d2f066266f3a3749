"""What setting cameras up needs beside the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from streamreid.config.file_editing import CamerasFile
from streamreid.ground.ground_plan import GroundPlan
from streamreid.runs.calibration_desk import GroundBoard
from streamreid.runs.heat_board import HeatBoard
from streamreid.runs.path_board import PathBoard
from streamreid.sinks.colours import ColourSink

__all__ = ["SetupParts"]


@dataclass(frozen=True, slots=True)
class SetupParts:
    """What setting cameras up needs beside the run.

    Args:
        plan: Of the ground.
        ground: A sink that knows where people stand.
        heat: A sink that knows how long people stood where.
        paths: A sink that knows where people walked.
        colours: A sink that knows the colours of their clothes.
        file: The cameras file; None where the run has none.
    """

    plan: GroundPlan = field(default_factory=GroundPlan)
    ground: GroundBoard = field(default_factory=GroundBoard)
    heat: HeatBoard = field(default_factory=HeatBoard)
    paths: PathBoard = field(default_factory=PathBoard)
    colours: ColourSink = field(default_factory=ColourSink)
    file: CamerasFile | None = None

    @classmethod
    def of_run(cls, folder: Path, file: Path | None) -> SetupParts:
        """Of a run with results in ``folder``; ``file`` is its cameras file, if it has one."""
        return cls(GroundPlan(folder), file=None if file is None else CamerasFile(file))
