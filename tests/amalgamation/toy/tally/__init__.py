"""Counts in cells and keeps things on shelves: one of each thing that the language has."""

LAYERS = ("common.uses", "common.bits", "cells", "shelves", "front")
