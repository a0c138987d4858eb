"""An asyncio service: eight clients ask for pages, which are made of parts kept in caches that expire; the
traffic comes in waves, with quiet times between them. Stands for web services and workers. Tells what is
resident at the end of each wave and, after what it made has expired, of the quiet time."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from typing import Any

from .common import share, steady, tell_resident

CLIENTS = 8
WAVES = 4
LIFETIME = 4000  # requests
QUIET_REQUESTS, PAUSE = 60, 0.005  # of one client, and the seconds between them

random = steady(5)


class Cache:
    """Values by key that are forgotten so many requests after they were made."""

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime
        self.values: OrderedDict[int, tuple[int, Any]] = OrderedDict()

    def get(self, key: int) -> Any:
        """The value of `key`, or None."""
        return self.values.get(key, (0, None))[1]

    def put(self, key: int, value: Any, time: int) -> None:
        """Keep `value` from `time` on."""
        self.values[key] = (time, value)
        self.values.move_to_end(key)

    def expire(self, time: int) -> None:
        """Forget what is too old at `time`."""
        while self.values:
            key, (made, _) = next(iter(self.values.items()))
            if made + self.lifetime > time:
                return
            del self.values[key]


class Service:
    """Pages of parts, each from a cache or made anew."""

    def __init__(self) -> None:
        self.time = 0
        self.parts = Cache(LIFETIME)
        self.pages = Cache(LIFETIME // 4)

    async def part(self, key: int) -> dict[str, Any]:
        """A record as a database would give it."""
        part: dict[str, Any] | None = self.parts.get(key)
        if part is None:
            await asyncio.sleep(0)
            rows = [{"id": n, "text": "x" * random.randrange(10, 400)} for n in range(random.randrange(2, 24))]
            part = {"key": key, "rows": rows, "blob": bytes(random.randrange(100, 6000))}
            self.parts.put(key, part, self.time)
        return part

    async def page(self, key: int) -> str:
        """The answer to one request."""
        self.time += 1
        self.parts.expire(self.time)
        self.pages.expire(self.time)
        page: str | None = self.pages.get(key)
        if page is None:
            parts = await asyncio.gather(*(self.part((key * 7 + n * n) % 40000) for n in range(6)))
            page = json.dumps([part["rows"] for part in parts])
            self.pages.put(key, page, self.time)
        return page


async def client(service: Service, requests: int, pause: float = 0) -> None:
    """One client's requests, one after the other, with a pause before each."""
    for _ in range(requests):
        if pause:
            await asyncio.sleep(pause)
        await service.page(int(random.paretovariate(0.3)) % 20000)


async def main() -> None:
    """Waves of traffic, each followed by quiet."""
    service = Service()
    for wave in range(WAVES):
        requests = share(700) * (1 if wave % 2 else 2)
        await asyncio.gather(*(client(service, requests) for _ in range(CLIENTS)))
        tell_resident(f"wave-{wave + 1}")
        service.time += LIFETIME
        service.parts.expire(service.time)
        service.pages.expire(service.time)
        await client(service, QUIET_REQUESTS, PAUSE)
        tell_resident(f"expired-{wave + 1}")


asyncio.run(main())
