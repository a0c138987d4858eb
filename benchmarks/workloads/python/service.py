"""A service that builds a cache and drops it, three times, the second of another shape; what it holds on to
lies between. Stands for the services that grow and never shrink. Tells what is resident with each cache and in
the end, when 6 MB live."""

from __future__ import annotations

from typing import Any

from .common import steady, tell_resident

CACHES = ((84000, 0), (50000, 250), (84000, 0))  # records and documents in each
REQUESTS = 20000  # after the last cache is gone
KEPT = 55  # one record in so many leaves something behind

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


def document() -> bytes:
    """A large one, such as a picture or a report."""
    return b"d" * random.randrange(50_000, 500_000)


def main() -> None:
    """Build, keep a little, drop; three times."""
    kept: list[bytes] = []
    for turn, (records, documents) in enumerate(CACHES):
        cache: dict[str, Any] = {f"document {number}": document() for number in range(documents)}
        for number in range(records):
            cache[f"key {number}"] = record(number)
            if number % KEPT == 0:
                kept.append(bytes(random.randrange(500, 2500)))
        tell_resident(f"built-{turn + 1}")
        cache.clear()
    for number in range(REQUESTS):  # life goes on, with short-lived records
        record(number)
    tell_resident("end")


main()
