"""Compiled forms of a graph: how they are built, what they depend on, and how near they are to the reference."""
