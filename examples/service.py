"""What a service in Python does to memory: caches of mixed shape fill in a rush, expire, and it goes on.

Several threads answer made-up requests. Each parses a JSON document and keeps its parts as a session (small
objects) and as a rendered page (text of some kilobytes); now and then a file of up to some megabytes or an
array of measurements comes in, piece by piece. Every rush has another shape: first mostly sessions, then
pages, then files and arrays. When it is over the caches expire, but for the few entries that are still in
use; then requests come one by one, and the threads mostly wait. In the end little is left that the service
needs. The same seed makes the same requests, so that the checksum that is printed last is the same on every
allocator.

    python examples/service.py [--rushes N] [--threads N]
    snug compare --timeline service.svg -- python examples/service.py
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
import zlib
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

QUIET_REQUESTS = 150  # of one thread after a rush
PAUSE = 0.004  # seconds between two of those
KEPT = 40  # one entry in so many outlives the rush
PIECE = 64 << 10  # bytes that an upload grows by
MEASURED = 2048  # numbers that an array grows by


@dataclass(frozen=True)
class Shape:
    """What the requests of a rush are like: how many each thread gets, and how large their parts are."""

    requests: int
    items: int
    """The most items in a request."""
    words: int
    """The most words in the text of an item."""
    uploads: float
    """The part of requests that come with a file."""
    arrays: float
    """The part of requests that come with measurements."""


RUSHES = (
    Shape(900, 30, 60, 0.01, 0),
    Shape(500, 12, 900, 0.01, 0),
    Shape(300, 12, 60, 0.08, 0.25),
)
QUIET = Shape(QUIET_REQUESTS, 6, 60, 0.005, 0.01)
SESSIONS, PAGES, UPLOADS, ARRAYS = 4000, 3000, 40, 400  # what the caches hold at most


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

    def expire(self) -> None:
        """Drop all but one entry in `KEPT`, scattered over the whole age of the cache."""
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
        self.arrays = Cache(ARRAYS)

    def answer(self, number: int, shape: Shape, chance: random.Random) -> int:
        """One request, from its text to its answer's checksum."""
        document = json.loads(make_request(number, shape, chance))
        key = f"{document['user']}-{number}"
        self.sessions.put(key, {item["name"]: dict(item, seen=number) for item in document["items"]})
        page = "\n".join(f"<li>{item['name']}: {item['text']}</li>" for item in document["items"])
        self.pages.put(key, page.encode())
        if chance.random() < shape.uploads:
            self.uploads.put(key, receive(chance))
        if chance.random() < shape.arrays:
            self.arrays.put(key, measure(chance))
        return zlib.crc32(json.dumps(document, sort_keys=True).encode())

    def expire(self) -> None:
        """The rush is over: little of what the caches hold is still in use."""
        for cache in (self.sessions, self.pages, self.uploads, self.arrays):
            cache.expire()


def make_request(number: int, shape: Shape, chance: random.Random) -> str:
    """The text of a request with a list of items, mostly short, some long."""
    items = [
        {
            "name": f"item-{chance.randrange(10**6)}",
            "text": "lorem " * int(min(8 * chance.paretovariate(1.1), shape.words)),
            "price": chance.random(),
            "tags": [f"tag{chance.randrange(500)}" for _ in range(chance.randrange(6))],
        }
        for _ in range(chance.randrange(1, shape.items))
    ]
    return json.dumps({"user": chance.randrange(10**5), "number": number, "items": items})


def receive(chance: random.Random) -> bytearray:
    """A file of up to some megabytes as it comes in: it grows until it is complete."""
    body = bytearray()
    for piece in range(int(min(4 * chance.paretovariate(0.8), 160))):
        body += bytes([piece]) * PIECE
    return body


def measure(chance: random.Random) -> array[float]:
    """Measurements as they come in: some thousand numbers at a time, up to a mebibyte in all."""
    numbers = array("d")
    for _ in range(int(min(3 * chance.paretovariate(0.9), 64))):
        numbers.extend(array("d", [chance.random()]) * MEASURED)
    return numbers


def work(service: Service, thread: int, rush: int, shape: Shape, pause: float, sums: list[int]) -> None:
    """The requests of one thread in one rush, or in the quiet time after it."""
    chance = random.Random(f"{thread} {rush} {pause}")
    for number in range(shape.requests):
        time.sleep(pause)
        sums[thread] = zlib.crc32(service.answer(number, shape, chance).to_bytes(4, "little"), sums[thread])


def run_threads(service: Service, rush: int, shape: Shape, pause: float, sums: list[int]) -> None:
    """All threads, each with the requests of `shape` and a pause before each."""
    threads = [
        threading.Thread(target=work, args=(service, thread, rush, shape, pause, sums))
        for thread in range(len(sums))
    ]
    for started in threads:
        started.start()
    for started in threads:
        started.join()


def main() -> None:
    """Run the rushes and print the checksum of all answers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--rushes", type=int, default=len(RUSHES), help=f"how often the caches fill (default: {len(RUSHES)})"
    )
    parser.add_argument("--threads", type=int, default=4, help="how many threads answer (default: 4)")
    arguments = parser.parse_args()
    sums = [0] * arguments.threads
    service = Service()
    for rush in range(arguments.rushes):
        run_threads(service, rush, RUSHES[rush % len(RUSHES)], 0, sums)
        service.expire()
        run_threads(service, rush, QUIET, PAUSE, sums)
    print(f"checksum {zlib.crc32(repr(sums).encode()):08x}")


if __name__ == "__main__":
    main()
