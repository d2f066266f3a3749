"""Well-known trackers made of the same parts, to see what each part is worth. The default configuration is neither."""

from __future__ import annotations

from streamreid.config import TrackerConfig

__all__ = ["botsort", "bytetrack"]


def bytetrack() -> TrackerConfig:
    """Bare-bones ByteTrack (Zhang et al., ECCV 2022): plain overlap, two rounds, no looks, lost for a second."""
    return TrackerConfig(
        confirm_frames=2,
        confirm_seconds=0.0,
        lost_seconds=1.0,
        exit_seconds=1.0,
        coast_seconds=0.0,
        match_iou=0.2,
        second_match_iou=0.5,
        overlap_buffer=0.0,
        height_overlap=False,
        truncation=False,
        appearance_weight=0.0,
        appearance_gate=0.0,
        recover_probability=1.0,
        split_probability=0.0,
        prototypes=1,
        occlusion=False,
        static_score=0.0,
        duplicate_iou=1.0,
        duplicate_cover=1.0,
    )


def botsort() -> TrackerConfig:
    """In the way of BoT-SORT with ReID (Aharon et al., 2022): ByteTrack's rounds, overlap and one running template
    together, no recovery without overlap. Camera motion comes from
    :class:`streamreid.tracking.camera_motion.CameraMotion`."""
    return bytetrack().model_copy(update={"appearance_weight": 0.5, "appearance_gate": 0.05, "confirm_frames": 3})
