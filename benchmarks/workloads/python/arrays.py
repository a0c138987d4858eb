"""Arrays of 0.2 to 40 MiB: a stage of work builds 450 MiB of them, all written, and drops most; small objects
come and go until the next stage builds them again. Stands for image and signal processing, models and
simulations in a service that waits between its jobs. Tells what is resident with the arrays and after the quiet
time."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from .common import share, steady, tell_resident

MIB = 1 << 20
SIZES = tuple(round(mib * MIB) for mib in (0.2, 1, 8, 20, 31, 40))
WEIGHTS = (12, 8, 4, 2, 2, 2)  # small ones are more frequent
TOTAL = 450 * MIB
STAGES = 6
KEPT = 12  # one array in so many outlives its stage
QUIET_STEPS, PAUSE = 150, 0.002  # and the seconds after each

random = steady(10)


def build() -> list[NDArray[np.float32]]:
    """Arrays of TOTAL bytes; now and then a result of two others in place of a new one."""
    arrays: list[NDArray[np.float32]] = []
    held = 0
    while held < TOTAL:
        size = random.choices(SIZES, WEIGHTS)[0]
        array = np.full(size // 4, random.random(), np.float32)
        if arrays and random.random() < 0.3:
            other = random.choice(arrays)
            number = min(len(array), len(other))
            array[:number] = array[:number] * other[:number] + 1  # with temporary arrays of that size
        arrays.append(array)
        held += array.nbytes
    return arrays


def quiet(steps: int) -> None:
    """Requests that need little: small objects, small arrays, and waiting."""
    for step in range(steps):
        rows = [{"id": number, "text": f"row {number} of {step}"} for number in range(40)]
        np.sort(np.array([len(str(row)) for row in rows], np.float32))
        time.sleep(PAUSE)


def main() -> None:
    """Build, keep a little, drop, wait; again and again."""
    kept: list[NDArray[np.float32]] = []
    for stage in range(share(STAGES * 100) // 100):
        arrays = build()
        tell_resident(f"built-{stage + 1}")
        kept = random.sample(arrays, len(arrays) // KEPT)
        del arrays
        quiet(QUIET_STEPS)
        tell_resident(f"dropped-{stage + 1}")
    kept.clear()
    quiet(QUIET_STEPS)
    tell_resident("end")


main()
