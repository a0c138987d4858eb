"""Random programs of calls on the model, the interpreted engine and libosmem.so: all that is seen is equal."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from .heaps import NOTHING, Call, CompiledHeap, InterpretedHeap, ModelHeap, Outcome, Refusal
from .naive import FREE, MAPPED, META, PTRDIFF_MAX, SIZE_MAX, THRESHOLD

SEEDS = 997
BRK_REFUSED = Refusal(brk_from=1)
MMAP_REFUSED = Refusal(mmap_from=1)
REFUSALS = [
    BRK_REFUSED,
    MMAP_REFUSED,
    Refusal(brk_from=1, mmap_from=THRESHOLD),  # no region of the usual length
    Refusal(brk_from=1, mmap_from=1),
    Refusal(munmap=True),
]
IMPOSSIBLE = [PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - META, PTRDIFF_MAX, PTRDIFF_MAX - 7, 1 << 50]


class ThreeHeaps:
    """Plays each call on all three heaps, compares what is seen, and keeps every payload full of a pattern."""

    def __init__(self, driver: Path, *, hardened: bool = False) -> None:
        self.model = ModelHeap()
        self.engines = (InterpretedHeap(hardened=hardened), CompiledHeap(driver, hardened=hardened))
        self.seeds: dict[int, int] = {}
        self._turn = 0

    def close(self) -> None:
        self.engines[1].close()

    @property
    def live(self) -> list[int]:
        """The pointers that the program holds, and may use."""
        return list(self.seeds)

    def stale(self) -> list[int]:
        """Pointers of free blocks, absorbed ones too: their headers say so."""
        naive = self.model.naive
        free = [block.address for block in naive.blocks if block.status == FREE]
        return sorted(address + META for address in {*free, *naive.stale})

    def size(self, pointer: int) -> int:
        """The payload size of a live block."""
        return next(block.payload for block in self.model.naive.blocks if block.pointer == pointer)

    # ---- Calls ----

    def malloc(self, size: int, refusal: Refusal = NOTHING) -> None:
        self._fill(self._call(Call("m", size), refusal).result)

    def calloc(self, count: int, size: int, refusal: Refusal = NOTHING) -> None:
        pointer = self._call(Call("c", count, size), refusal).result
        if pointer:
            assert all(engine.is_zero(pointer, count * size) for engine in self.engines)
            self._fill(pointer)

    def realloc(self, pointer: int, size: int, refusal: Refusal = NOTHING) -> None:
        old, seed = self.size(pointer), self.seeds[pointer]
        moved = self._call(Call("r", pointer, size), refusal).result
        if moved or not size:
            self._let_go(pointer, old, moved)
        kept = moved or pointer
        if size:  # a refused one may have swallowed its neighbours all the same
            assert all(engine.holds(kept, min(old, size), seed) for engine in self.engines)
            self._fill(kept)

    def realloc_null(self, size: int) -> None:
        self._fill(self._call(Call("r", 0, size), NOTHING).result)

    def free(self, pointer: int, refusal: Refusal = NOTHING) -> None:
        old = self.size(pointer)
        self._call(Call("f", pointer), refusal)
        self._let_go(pointer, old, 0)

    def use_stale(self, call: Call) -> None:
        """A call with the pointer of a free block: nothing comes of it."""
        before = self.model.naive.blocks
        assert self._call(call, NOTHING)[:3] == (0, 0, [])
        assert self.model.naive.blocks == before

    def foreign_break(self, count: int) -> None:
        for heap in (self.model, *self.engines):
            heap.foreign_break(count)

    # ---- What must hold ----

    def _call(self, call: Call, refusal: Refusal) -> Outcome:
        outcome = self.model.call(call, refusal)
        for engine in self.engines:
            assert engine.call(call, refusal) == outcome, call
        self._check_stale()
        return outcome

    def _check_stale(self) -> None:
        stale = self.stale()
        for engine in self.engines:
            assert engine.statuses(stale) == [FREE] * len(stale)

    def _let_go(self, pointer: int, size: int, moved: int) -> None:
        """`pointer` was given back unless it is `moved`; the bytes of a heap block are still there."""
        blocks = {block.pointer: block.status for block in self.model.naive.blocks}
        if pointer in blocks and pointer != moved:
            assert all(engine.holds(pointer, size, self.seeds[pointer]) for engine in self.engines)
        if blocks.get(pointer) != MAPPED:
            del self.seeds[pointer]

    def _fill(self, pointer: int) -> None:
        if not pointer:
            return
        self._turn += 1
        self.seeds[pointer] = self._turn % SEEDS
        for engine in self.engines:
            engine.write(pointer, self.size(pointer), self.seeds[pointer])

    def check_contents(self) -> None:
        """Nobody wrote into anybody's block."""
        for pointer, seed in self.seeds.items():
            assert all(engine.holds(pointer, self.size(pointer), seed) for engine in self.engines)


# ---- Programs that hypothesis makes up, and shrinks when they fail ----

sizes = st.one_of(
    st.integers(0, 300),
    st.integers(0, 600).map(lambda size: size * 8),
    st.integers(4000, 4100),
    st.integers(0, 140_000),
    st.integers(THRESHOLD - 100, THRESHOLD + 10),
    st.sampled_from(IMPOSSIBLE),
)
picks = st.integers(0, 1 << 16)
refusals = st.one_of(st.just(NOTHING), st.just(NOTHING), st.just(NOTHING), st.sampled_from(REFUSALS))


def program_on(driver: Path) -> type[RuleBasedStateMachine]:
    """The state machine whose compiled engine runs in `driver`."""

    class Program(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.heaps = ThreeHeaps(driver)

        @rule(size=sizes, refusal=refusals)
        def malloc(self, size: int, refusal: Refusal) -> None:
            self.heaps.malloc(size, refusal)

        @rule(count=st.integers(0, 9), size=sizes, refusal=refusals)
        def calloc(self, count: int, size: int, refusal: Refusal) -> None:
            self.heaps.calloc(count, size // max(count, 1), refusal)

        @rule(exponent=st.integers(1, 63), factor=st.integers(0, 5))
        def calloc_beyond_the_word(self, exponent: int, factor: int) -> None:
            self.heaps.calloc((1 << exponent) + factor, 1 << (64 - exponent))

        @rule(size=sizes)
        def realloc_null(self, size: int) -> None:
            self.heaps.realloc_null(size)

        @precondition(lambda self: self.heaps.live)
        @rule(pick=picks, size=sizes, refusal=refusals)
        def realloc(self, pick: int, size: int, refusal: Refusal) -> None:
            live = self.heaps.live
            self.heaps.realloc(live[pick % len(live)], size, refusal)

        @precondition(lambda self: self.heaps.live)
        @rule(pick=picks, change=st.integers(-100, 200), refusal=refusals)
        def realloc_near(self, pick: int, change: int, refusal: Refusal) -> None:
            pointer = self.heaps.live[pick % len(self.heaps.live)]
            self.heaps.realloc(pointer, max(self.heaps.size(pointer) + change, 0), refusal)

        @precondition(lambda self: self.heaps.live)
        @rule(pick=picks, refusal=refusals)
        def free(self, pick: int, refusal: Refusal) -> None:
            live = self.heaps.live
            self.heaps.free(live[pick % len(live)], refusal)

        @precondition(lambda self: self.heaps.stale())
        @rule(pick=picks, name=st.sampled_from("rf"), size=sizes)
        def use_a_free_block(self, pick: int, name: str, size: int) -> None:
            stale = self.heaps.stale()
            self.heaps.use_stale(Call(name, stale[pick % len(stale)], size if name == "r" else 0))

        @rule(count=st.integers(1, 5000))
        def foreign_break(self, count: int) -> None:
            self.heaps.foreign_break(count)

        def teardown(self) -> None:
            self.heaps.check_contents()
            self.heaps.close()

    return Program


def test_programs_of_calls_agree(driver: Path) -> None:
    patient = settings(deadline=None, suppress_health_check=list(HealthCheck))
    much = settings(patient, max_examples=80, stateful_step_count=50)
    run_state_machine_as_test(program_on(driver), settings=much)


# ---- Long programs ----


def random_size(chance: random.Random) -> int:
    """Mostly small, now and then around the limits of calloc and of malloc."""
    ranges = [(1, 64), (1, 64), (1, 400), (1, 400), (1, 3000), (4000, 4100), (130_900, 131_200)]
    return chance.randint(*chance.choice(ranges))


def random_step(heaps: ThreeHeaps, chance: random.Random, most: int) -> None:
    """One call; with `most` blocks live it is more often a free."""
    live = heaps.live
    refusal = chance.choice(REFUSALS) if chance.random() < 0.03 else NOTHING
    steps: list[Callable[[], None]] = [
        lambda: heaps.malloc(random_size(chance), refusal),
        lambda: heaps.calloc(chance.randint(1, 4), random_size(chance) // 4, refusal),
        lambda: heaps.foreign_break(chance.randint(1, 5000)),
        lambda: heaps.realloc(chance.choice(live), random_size(chance), refusal),
        lambda: heaps.free(chance.choice(live), refusal),
    ]
    weights = [5, 2, 0.05, 4 * bool(live), 2 * bool(live) + 9 * len(live) / most]
    chance.choices(steps, weights)[0]()


@pytest.mark.parametrize("hardened", [False, True])
@pytest.mark.parametrize("most", [30, 120])
def test_long_programs_agree(driver: Path, most: int, hardened: bool) -> None:
    chance, heaps = random.Random(most), ThreeHeaps(driver, hardened=hardened)
    for _ in range(1200):
        random_step(heaps, chance, most)
    heaps.check_contents()
    heaps.close()
