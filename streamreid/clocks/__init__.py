"""Clocks of cameras: times that jump, and offsets between cameras."""
