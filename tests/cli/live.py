"""Made-up figures of processes, for the tests of what looks at running processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from snugmalloc.engine.dropin.figures import STATS_VERSION
from snugmalloc.launch.inside import UNDECIDED, Inside
from snugmalloc.live.asking import Answer, Asked, Kind
from snugmalloc.live.processes import Missing, Reading, Sample
from snugmalloc.live.remote import CannotAttach
from snugmalloc.live.walk import GIVEN, KEPT, LIVE, HeapView, Segment
from snugmalloc.trace.snapshot import Part

MIB, GIB = 1 << 20, 1 << 30


def fake_heap(**figures: int) -> Inside:
    """The figures of a process that is on; those that are not named are 0."""
    return UNDECIDED._replace(version=STATS_VERSION, state=1, **figures)


def fake_sample(pid: int, program: str = "server", heap: Inside | None = None) -> Sample:
    """A process of two threads with that heap."""
    heap = heap or fake_heap(live_bytes=30 * MIB, heap_bytes=50 * MIB, system_bytes=50 * MIB)
    return Sample(pid, program, 2, heap.resident_bytes + 8 * MIB, heap)


class FakeSource:
    """Readings of made-up processes, one a second: each gives the next."""

    def __init__(self) -> None:
        self.taken = 0
        self.gone: set[int] = set()

    def read(self) -> Reading:
        """The next reading."""
        self.taken += 1
        samples = tuple(sample for sample in self._samples(self.taken) if sample.pid not in self.gone)
        return Reading(float(self.taken), samples, {Missing.OFF: 2})

    def _samples(self, step: int) -> tuple[Sample, ...]:
        wave = abs(step % 40 - 20)
        return (
            fake_sample(
                4711,
                "python3",
                fake_heap(
                    live_bytes=(300 + 20 * wave) * MIB,
                    live_blocks=150_000 + 9_000 * wave,
                    heap_bytes=800 * MIB,
                    mapped_bytes=40 * MIB,
                    mapped_blocks=3,
                    purged_bytes=(460 - 20 * wave) * MIB,
                    system_bytes=840 * MIB,
                    peak_system_bytes=860 * MIB,
                    returned_bytes=step * 90 * MIB,
                    brk_calls=40 + step,
                    mmap_calls=12 + 3 * step,
                    madvise_calls=step * step,
                    thread_caches=4,
                    refused_requests=3,
                    refused_limit=3,
                ),
            ),
            fake_sample(
                812,
                "redis-server",
                fake_heap(live_bytes=90 * MIB, heap_bytes=96 * MIB, system_bytes=96 * MIB, brk_calls=70),
            ),
            fake_sample(99, "sh", fake_heap(live_bytes=40 << 10, heap_bytes=132 << 10, system_bytes=132 << 10)),
        )


def fake_view(pid: int) -> HeapView:
    """A made-up heap of two segments, with live blocks of four sizes."""
    states = bytes([LIVE] * 900 + [KEPT] * 300 + [LIVE] * 100 + [GIVEN] * 1500 + [LIVE] * 200)
    first = Segment("process", 0x5000_0000, 0x5000_0000 + 4096 * len(states), states=states, held=3 * MIB)
    second = Segment("shard 1", 0x7000_0000, 0x7000_0000 + 4096 * 400, states=bytes([LIVE, KEPT] * 200))
    view = HeapView(pid, 4096, [first, second], seconds=0.25)
    for size, blocks, held in (
        (16, 40_000, 2.5 * MIB),
        (48, 9000, 0.5 * MIB),
        (1016, 700, 0.0),
        (3 * MIB, 2, 0.0),
    ):
        view.live[size] = Part(blocks, size * blocks, held)
    return view


class FakeProcess:
    """A process that answers when it is told to: in the place of `open_mailbox`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Answer | None = None
        self.has_ended = False

    @contextmanager
    def __call__(self, pid: int) -> Iterator[FakeProcess]:
        """The place where it is asked."""
        if self.has_ended:
            raise CannotAttach(f"process {pid} has ended")
        yield self

    def ask(self, kind: Kind, path: str = "") -> Asked:
        """As a mailbox."""
        self.asked.append(Asked(kind, path, len(self.asked) + 1, 0.0))
        return self.asked[-1]

    def waits(self, asked: Asked) -> bool:
        """As a mailbox."""
        return not self.look(asked)

    def look(self, asked: Asked) -> bool:
        """As a mailbox."""
        asked.answer, asked.given_back, asked.answered = self.answer, 12 * MIB, 0.0
        return self.answer is not None
