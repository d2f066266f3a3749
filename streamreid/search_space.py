"""Which settings ``streamreid tune`` may change, and how far: one table beside the configuration."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SEARCH_SPACE", "Range"]


@dataclass(frozen=True, slots=True)
class Range:
    """One setting to be searched.

    Args:
        key: Section and name in the configuration.
        low: Least value.
        high: Greatest value.
        step: Values are rounded to multiples of it; a whole number for settings that are whole numbers.
        log: Search evenly in the logarithm.
    """

    key: str
    low: float
    high: float
    step: float = 0.01
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers."""
        return isinstance(self.step, int)

    def rounded(self, value: float) -> float:
        """The nearest multiple of ``step`` inside the range."""
        if self.whole:
            return int(value)
        return round(min(max(round(value / self.step) * self.step, self.low), self.high), 6)


# Ranges are wide enough for footage of 2 to 60 frames per second; the defaults lie inside. Left out: settings of which
# more is simply slower, that a recording says nothing about (memory, window), or that only make sense together with
# delayed results (rejoin_seconds).
SEARCH_SPACE: tuple[Range, ...] = (
    Range("tracker.high_score", 0.3, 0.8),
    Range("tracker.low_score", 0.05, 0.3),
    Range("tracker.new_score", 0.3, 0.9),
    Range("tracker.confirm_frames", 1, 8, step=1),
    Range("tracker.confirm_seconds", 0.0, 0.8, step=0.05),
    Range("tracker.lost_seconds", 0.5, 60.0, step=0.1, log=True),
    Range("tracker.exit_seconds", 0.0, 5.0, step=0.1),
    Range("tracker.motion_only_seconds", 0.1, 10.0, step=0.1, log=True),
    Range("tracker.coast_seconds", 0.0, 1.0, step=0.05),
    Range("tracker.match_iou", 0.02, 0.4),
    Range("tracker.second_match_iou", 0.1, 0.7),
    Range("tracker.overlap_buffer", 0.0, 3.0, step=0.1),
    Range("tracker.appearance_weight", 0.0, 1.0, step=0.05),
    Range("tracker.appearance_gate", 0.0, 0.3),
    Range("tracker.recover_probability", 0.5, 0.99),
    Range("tracker.prototypes", 1, 8, step=1),
    Range("tracker.static_score", 0.0, 0.9, step=0.05),
    Range("tracker.static_travel", 0.1, 3.0, step=0.1),
    Range("tracker.duplicate_iou", 0.4, 0.95, step=0.05),
    Range("tracker.duplicate_cover", 0.5, 1.0, step=0.05),
    Range("association.interval", 0.1, 4.0, step=0.1, log=True),
    Range("association.min_observations", 1, 20, step=1),
    Range("association.probability", 0.1, 0.95),
)
