"""How good results are: tracks inside a camera, identities across cameras."""

from __future__ import annotations

from streamreid.evaluation.formats import read_mot, read_tables, read_truth
from streamreid.evaluation.mot import MotEvaluation, evaluate_mot
from streamreid.evaluation.multicam import IdentityErrors, MulticamEvaluation, evaluate_multicam
from streamreid.evaluation.rules import RULES, Rules
from streamreid.evaluation.scores import MotScores
from streamreid.evaluation.table import Table

__all__ = [
    "RULES",
    "IdentityErrors",
    "MotEvaluation",
    "MotScores",
    "MulticamEvaluation",
    "Rules",
    "Table",
    "evaluate_mot",
    "evaluate_multicam",
    "read_mot",
    "read_tables",
    "read_truth",
]
