"""Counts in cells and keeps things on shelves: one of each thing that the language has."""

LAYERS = ("cells", "shelves", "front")
