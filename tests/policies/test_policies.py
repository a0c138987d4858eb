"""The simple policies: what is handed out does not overlap, is aligned, and comes together again."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snugmalloc.play.plan import FREE, KINDS, NOWHERE, REALLOC, STEP, Plan
from snugmalloc.policies import POLICIES
from snugmalloc.policies.line import UNIT, Policy
from snugmalloc.policies.playing import play_on_policy
from snugmalloc.trace import Operation

NAMES = list(POLICIES)

# (what is done, which live block, size, shift of the alignment)
steps = st.lists(
    st.tuples(
        st.sampled_from(["allocate", "allocate", "free", "resize"]),
        st.integers(0, 1000),
        st.one_of(st.integers(0, 200), st.integers(0, 100_000)),
        st.integers(0, 13),
    ),
    max_size=120,
)


def carry_out(policy: Policy, calls: list[tuple[str, int, int, int]]) -> dict[int, int]:
    """Makes the calls, and looks at the line after each. The sizes of the live blocks by address."""
    live: dict[int, int] = {}
    for what, which, size, shift in calls:
        chosen = sorted(live)[which % len(live)] if live else None
        if what == "allocate" or chosen is None:
            address = policy.allocate(size, 1 << shift)
            assert address % max(UNIT, 1 << shift) == 0
            live[address] = size
        elif what == "free":
            policy.free(chosen)
            del live[chosen]
        else:
            del live[chosen]
            address = policy.resize(chosen, size)
            assert address % UNIT == 0
            live[address] = size
        look_at(policy, live)
    return live


def look_at(policy: Policy, live: dict[int, int]) -> None:
    """Blocks lie in their stretches; stretches and holes lie side by side from 0 to the end of the line."""
    assert policy.taken.keys() == live.keys()
    for address, size in live.items():
        start, length = policy.taken[address]
        assert start <= address and address + size <= start + length
    end = 0
    for start, length in sorted([*policy.taken.values(), *policy.holes]):
        assert start == end and length > 0
        end += length
    assert end == policy.held
    assert policy.taken_bytes == sum(length for _, length in policy.taken.values())


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(calls=steps)
def test_nothing_overlaps_and_all_is_aligned(name: str, calls: list[tuple[str, int, int, int]]) -> None:
    carry_out(POLICIES[name](), calls)


@pytest.mark.parametrize("name", [name for name in NAMES if POLICIES[name].coalesces])
@settings(deadline=None)
@given(calls=steps, order=st.randoms(use_true_random=False))
def test_all_that_is_free_is_one_hole_when_all_is_freed(
    name: str, calls: list[tuple[str, int, int, int]], order: Random
) -> None:
    policy = POLICIES[name]()
    left = list(carry_out(policy, calls))
    order.shuffle(left)
    for address in left:
        policy.free(address)
    assert policy.holes == ([(0, policy.held)] if policy.held else [])
    assert policy.taken_bytes == 0


def with_holes(policy: Policy) -> list[int]:
    """A line with holes of 64, 256, 128 and 512 bytes between blocks: where they begin."""
    addresses = []
    for size in (64, 256, 128, 512):
        addresses.append(policy.allocate(size))
        policy.allocate(16)
    for address in addresses:
        policy.free(address)
    return addresses


@pytest.mark.parametrize(
    ("name", "hole"), [("first-fit", 1), ("best-fit", 2), ("no-coalescing", 2), ("worst-fit", 3)]
)
def test_each_fit_takes_the_hole_of_its_name(name: str, hole: int) -> None:
    line = POLICIES[name]()
    begins = with_holes(line)
    assert line.allocate(128) == begins[hole]


def test_the_next_fit_goes_on_where_the_last_search_ended() -> None:
    line = POLICIES["next-fit"]()
    begins = with_holes(line)
    assert line.allocate(200) == begins[1]
    assert line.allocate(64) == begins[2]
    assert line.allocate(64) == begins[2] + 64
    assert line.allocate(512) == begins[3]
    assert line.allocate(64) == begins[0]


def test_buddies_come_together_with_their_own_half_only() -> None:
    line = POLICIES["buddy"]()
    a, b, c, d = (line.allocate(16) for _ in range(4))
    line.free(b)
    line.free(c)
    assert line.holes == [(b, 16), (c, 16)]
    line.free(a)
    assert line.holes == [(0, 32), (c, 16)]
    line.free(d)
    assert line.holes == [(0, 64)]
    assert line.allocate(40) == 0
    assert line.taken[0] == (0, 64)


def test_without_coalescing_the_line_grows_where_the_others_have_room() -> None:
    held = {}
    for name, policy in POLICIES.items():
        line = policy()
        for address in [line.allocate(64) for _ in range(64)]:
            line.free(address)
        line.allocate(2048)
        held[name] = line.held
    assert held.pop("no-coalescing") == 64 * 64 + 2048
    assert set(held.values()) == {64 * 64}


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_played_and_its_peak_found(name: str) -> None:
    malloc, aligned = KINDS[Operation.MALLOC], KINDS[Operation.ALIGNED]
    made = [
        (100, 0, NOWHERE, 1, malloc, 0),
        (1000, 1, NOWHERE, 2, aligned, 8),
        (3000, 0, 0, 3, REALLOC, 0),
        (0, 1, NOWHERE, 4, FREE, 0),
        (10, 2, NOWHERE, 5, REALLOC, 0),
    ]
    plan = Plan("made", [bytearray(b"".join(STEP.pack(*step) for step in made))], 3, len(made), 1)
    played = play_on_policy(plan, POLICIES[name]())
    assert [moment.live for moment in played.moments] == [100, 1100, 4000, 3000, 3010]
    assert (played.at_peak.call, played.at_peak.live) == (3, 4000)
    assert played.at_peak.held >= played.at_peak.taken >= played.at_peak.live
    assert played.mean_fragmentation > 1
