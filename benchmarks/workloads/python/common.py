"""What the Python workloads share: the amount to do, a steady random source, what is resident."""

from __future__ import annotations

import random
import sys
from pathlib import Path


def share(full: int) -> int:
    """`full` steps, cut down to the percentage that the first argument gives."""
    return full * int(sys.argv[1] if len(sys.argv) > 1 else "100") // 100


def steady(seed: int) -> random.Random:
    """Random numbers that are the same in every run."""
    return random.Random(seed)


def tell_resident(stage: str) -> None:
    """Print the line `resident STAGE BYTES`, which the bench keeps with the run's figures."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            print(f"resident {stage} {int(line.split()[1]) * 1024}", flush=True)
