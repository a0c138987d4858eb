"""What a service in Python does to memory: requests are parsed, kept in caches, and dropped again.

Several threads answer made-up requests. Each parses a JSON document, puts parts of it into one of three caches
(small objects, rendered texts, large buffers), and now and then a rush fills the caches, which are emptied when
it is over. Then requests come one by one, and the threads mostly wait. In the end little is left that the
service needs. The same seed makes the same requests, so that the checksum that is printed last is the same on
every allocator.

    python examples/service.py [--rushes N] [--threads N]
    snug compare -- python examples/service.py
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
import zlib
from collections import OrderedDict
from typing import Any

REQUESTS = 600  # of one thread in one rush
QUIET_REQUESTS = 100
PAUSE = 0.003  # seconds between two of those
SESSIONS, PAGES, UPLOADS = 2400, 1500, 40  # what the caches hold at most during a rush
KEPT = 20  # one entry in so many outlives the rush


class Cache:
    """The newest entries by key, at most `room` of them, shared by the threads."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.entries: OrderedDict[str, Any] = OrderedDict()
        self.lock = threading.Lock()

    def put(self, key: str, value: Any) -> None:
        """Keep `value`, and drop the oldest entries beyond the room."""
        with self.lock:
            self.entries[key] = value
            while len(self.entries) > self.room:
                self.entries.popitem(last=False)

    def thin(self) -> None:
        """The rush is over: drop all but one entry in `KEPT`, scattered over the whole age of the cache."""
        with self.lock:
            for index, key in enumerate(list(self.entries)):
                if index % KEPT:
                    del self.entries[key]


class Service:
    """The caches and the requests that fill them."""

    def __init__(self) -> None:
        self.sessions = Cache(SESSIONS)
        self.pages = Cache(PAGES)
        self.uploads = Cache(UPLOADS)

    def answer(self, number: int, chance: random.Random) -> int:
        """One request, from its text to its answer's checksum."""
        document = json.loads(make_request(number, chance))
        key = f"{document['user']}-{number}"
        self.sessions.put(key, {item["name"]: dict(item, seen=number) for item in document["items"]})
        page = "\n".join(f"<li>{item['name']}: {item['text']}</li>" for item in document["items"])
        self.pages.put(key, page.encode())
        if chance.random() < 0.02:
            self.uploads.put(key, bytearray(page.encode() * chance.randrange(10, 60)))
        return zlib.crc32(json.dumps(document, sort_keys=True).encode())

    def thin(self) -> None:
        """Drop what the rush has left in all caches."""
        for cache in (self.sessions, self.pages, self.uploads):
            cache.thin()


def make_request(number: int, chance: random.Random) -> str:
    """The text of a request with a list of items, mostly short, some long."""
    items = [
        {
            "name": f"item-{chance.randrange(10**6)}",
            "text": "lorem ipsum " * int(min(8 * chance.paretovariate(1.1), 600)),
            "price": chance.random(),
            "tags": [f"tag{chance.randrange(500)}" for _ in range(chance.randrange(6))],
        }
        for _ in range(chance.randrange(1, 24))
    ]
    return json.dumps({"user": chance.randrange(10**5), "number": number, "items": items})


def work(service: Service, thread: int, rush: int, requests: int, pause: float, sums: list[int]) -> None:
    """The requests of one thread in one rush, or in the quiet time after it."""
    chance = random.Random(f"{thread} {rush} {requests}")
    for number in range(requests):
        time.sleep(pause)
        sums[thread] = zlib.crc32(service.answer(number, chance).to_bytes(4, "little"), sums[thread])


def run_threads(service: Service, rush: int, requests: int, pause: float, sums: list[int]) -> None:
    """All threads, each with so many requests and a pause before each."""
    threads = [
        threading.Thread(target=work, args=(service, thread, rush, requests, pause, sums))
        for thread in range(len(sums))
    ]
    for started in threads:
        started.start()
    for started in threads:
        started.join()


def main() -> None:
    """Run the rushes and print the checksum of all answers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rushes", type=int, default=3, help="how often the caches fill (default: 3)")
    parser.add_argument("--threads", type=int, default=4, help="how many threads answer (default: 4)")
    arguments = parser.parse_args()
    sums = [0] * arguments.threads
    service = Service()
    for rush in range(arguments.rushes):
        run_threads(service, rush, REQUESTS, 0, sums)
        service.thin()
        run_threads(service, rush, QUIET_REQUESTS, PAUSE, sums)
    print(f"checksum {zlib.crc32(repr(sums).encode()):08x}")


if __name__ == "__main__":
    main()
