"""A service that builds a cache of mixed records and drops it, three times; some of what it holds on to lies
between. Stands for the services that grow and never shrink. Tells what is resident with each cache and in
the end, when 6 MB live."""

from __future__ import annotations

from typing import Any

from .common import steady, tell_resident

RECORDS = 96000
REQUESTS = 20000  # after the last cache is gone
KEPT = 64  # one record in so many leaves something behind

random = steady(6)


def record(number: int) -> dict[str, Any]:
    """A user's entry: small objects, texts, and now and then a page."""
    entry: dict[str, Any] = {
        "id": number,
        "name": f"user {number}",
        "groups": [f"group {n}" for n in range(random.randrange(6))],
        "scores": {n: random.random() for n in range(random.randrange(12))},
        "text": "t" * int(random.lognormvariate(5.5, 1)),
    }
    if number % 10 == 0:
        entry["page"] = bytes(random.randrange(2000, 12000))
    return entry


def main() -> None:
    """Build, keep a little, drop; three times."""
    kept: list[bytes] = []
    for turn in range(3):
        cache: dict[str, Any] = {}
        for number in range(RECORDS):
            cache[f"key {number}"] = record(number)
            if number % KEPT == 0:
                kept.append(bytes(random.randrange(500, 2500)))
        tell_resident(f"built-{turn + 1}")
        cache.clear()
    for number in range(REQUESTS):  # life goes on, with short-lived records
        record(number)
    tell_resident("end")


main()
