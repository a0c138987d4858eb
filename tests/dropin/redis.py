"""A redis-server of the tests: started by a command of its own, filled, and ended as it should be."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PACKAGES = {"redis-server": "redis-server", "redis-cli": "redis-tools", "redis-benchmark": "redis-tools"}
WORK = "set,get,lpush,rpop,sadd,hset,lrange_100,mset"
LONGEST = 600  # seconds
KEYS = [f"text{i}" for i in range(3000)] + [f"list{i}" for i in range(50)]
LINES = [
    *(f"SET text{i} {'x' * (i % 700)}" for i in range(3000)),
    *(f"RPUSH list{i % 50} {i} {'y' * (i % 90)}" for i in range(3000)),
    *(f"DEL text{i}" for i in range(0, 3000, 3)),
]


def need_redis(program: str) -> str:
    """The path of a program of redis; fails the test with the package that has it."""
    found = shutil.which(program)
    assert found, f"{program} is not installed: apt-get install {PACKAGES[program]}"
    return found


class Redis:
    """A server that listens at a socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def cli(self, *words: str, given: str | None = None) -> str:
        """What redis-cli prints."""
        return self._run("redis-cli", *words, given=given)

    def benchmark(self, requests: int = 10_000) -> None:
        """So many requests of each kind, eight at a time, of 300 bytes."""
        self._run("redis-benchmark", "-q", "-n", str(requests), "-P", "8", "-d", "300", "-t", WORK)

    def fill_and_save(self) -> None:
        """Write keys and delete some, and let a forked child save them."""
        self.cli(given="\n".join(LINES))
        self.cli("BGSAVE")
        while "rdb_bgsave_in_progress:1" in self.cli("INFO", "persistence"):
            time.sleep(0.02)

    def _run(self, program: str, *words: str, given: str | None = None) -> str:
        command = [need_redis(program), "-s", str(self.socket), *words]
        return subprocess.run(
            command, input=given, capture_output=True, text=True, check=True, timeout=LONGEST
        ).stdout


@contextmanager
def running_redis(
    folder: Path, name: str, before: Sequence[str | Path] = (), environment: Mapping[str, str] | None = None
) -> Iterator[Redis]:
    """A server in `folder`, with the words `before` in front of its command; it is shut down in the end."""
    socket = folder / name
    settings = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dbfilename", f"{name}.rdb"]
    settings += ["--enable-debug-command", "yes", "--dir", str(folder), "--loglevel", "warning"]
    command = [*before, need_redis("redis-server"), *settings]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        end = time.monotonic() + 300
        while not socket.exists():
            assert server.poll() is None and time.monotonic() < end, "redis-server does not start"
            time.sleep(0.02)
        redis = Redis(socket)
        yield redis
        redis.cli("SHUTDOWN", "NOSAVE")
        assert server.wait(LONGEST) == 0
    finally:
        server.kill()
        server.wait()
