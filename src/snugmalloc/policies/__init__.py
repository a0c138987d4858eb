"""Simple allocation policies on a line of addresses, to see what each idea of the four functions buys.

Nothing here is part of the product's engine, and there is no memory behind the addresses. `line` is what all
policies have in common, `fits` are those that keep a set of holes, `buddy` is the one that halves stretches,
and `playing` plays a trace on one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from snugmalloc.policies.buddy import Buddy
from snugmalloc.policies.fits import BestFit, FirstFit, NextFit, NoCoalescing, WorstFit
from snugmalloc.policies.line import Policy

POLICIES: Mapping[str, type[Policy]] = MappingProxyType(
    {
        "best-fit": BestFit,
        "first-fit": FirstFit,
        "next-fit": NextFit,
        "worst-fit": WorstFit,
        "buddy": Buddy,
        "no-coalescing": NoCoalescing,
    }
)
