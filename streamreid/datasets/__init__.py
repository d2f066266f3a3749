"""Datasets of person pictures: how folders are laid out, who is in them, part labels, occluders. Needs no torch."""
