"""Owns the weight of a sampled block."""

from __future__ import annotations

import math


def blocks_behind(size: int, mean_gap: int) -> float:
    """How many blocks of `size` bytes one sampled block of that size stands for; 1 if every call is recorded.

    On average a sample is taken every `mean_gap` bytes, at gaps of an exponential distribution.
    """
    if not mean_gap:
        return 1.0
    return 1 / -math.expm1(-max(size, 1) / mean_gap)
