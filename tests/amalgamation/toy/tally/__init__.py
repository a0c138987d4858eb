"""Counts in cells: one of each thing that the language has."""

FLOORS = ("cells", "front")
