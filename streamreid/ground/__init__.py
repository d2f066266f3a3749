"""Calibrated cameras and people on the ground plane: camera models, body model, multi-hypothesis tracker, evidence from
positions."""
