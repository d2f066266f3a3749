"""How good results are: tracks inside a camera, identities across cameras, positions on the ground."""

from __future__ import annotations

from streamreid.evaluation.formats import read_mot, read_tables, read_truth
from streamreid.evaluation.mot import MotEvaluation, evaluate_mot
from streamreid.evaluation.multicam import IdentityErrors, MulticamEvaluation, evaluate_multicam
from streamreid.evaluation.over_time import OverTime, PartScores, Returns, evaluate_over_time, rate_of
from streamreid.evaluation.preprocessing import RULES, Rules
from streamreid.evaluation.report import read_clocks, write_report
from streamreid.evaluation.scores import MotScores
from streamreid.evaluation.table import Table
from streamreid.evaluation.world import Positions, WorldEvaluation, evaluate_world, read_positions

__all__ = [
    "RULES",
    "IdentityErrors",
    "MotEvaluation",
    "MotScores",
    "MulticamEvaluation",
    "OverTime",
    "PartScores",
    "Positions",
    "Returns",
    "Rules",
    "Table",
    "WorldEvaluation",
    "evaluate_mot",
    "evaluate_multicam",
    "evaluate_over_time",
    "evaluate_world",
    "rate_of",
    "read_clocks",
    "read_mot",
    "read_positions",
    "read_tables",
    "read_truth",
    "write_report",
]
