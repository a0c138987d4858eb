"""JSON: documents of all sizes are parsed, changed and written again; a window of 200 stays. Stands for web
services."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from .common import share, steady

KEPT = 200

random = steady(1)


def document(entries: int) -> dict[str, Any]:
    """An order with so many entries."""
    return {
        "id": random.getrandbits(48),
        "customer": {
            "name": "n" * random.randrange(5, 40),
            "tags": [f"tag{i}" for i in range(random.randrange(8))],
        },
        "entries": [
            {
                "sku": f"{random.getrandbits(40):x}",
                "amount": random.random(),
                "text": "t" * random.randrange(5, 120),
            }
            for _ in range(entries)
        ],
    }


def main() -> None:
    """Parse, change, write, keep a while."""
    texts = [json.dumps(document(random.choice((1, 3, 10, 40, 400)))) for _ in range(100)]
    kept: deque[Any] = deque(maxlen=KEPT)
    for _ in range(share(8000)):
        order = json.loads(random.choice(texts))
        for entry in order["entries"]:
            entry["amount"] *= 2
        kept.append((order, json.dumps(order)))


main()
