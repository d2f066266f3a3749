"""Whole runs: one run, a batch of recordings, the results folder, the summary, the doctor."""

from streamreid.runs.run import run
from streamreid.runs.summary import Summary

__all__ = ["Summary", "run"]
