"""Threads, forks, refusals and faults on the drop-in malloc, on aarch64."""

from __future__ import annotations

import pytest

from ...dropin.conftest import Compile
from ...dropin.test_family import (
    test_operators_new_and_delete_hold_under_preload,
    test_small_alignment_is_kept_where_it_was_asked_for,
)
from ...dropin.test_hardened import (
    test_a_fault_ends_the_program_with_one_line,
    test_filled_memory_shows_what_was_not_written_and_what_was_freed,
)
from ...dropin.test_stress import (
    MODES,
    test_a_mapping_in_the_way_of_the_break_does_not_end_the_heap,
    test_allocation_works_at_the_edges_of_a_programs_life,
    test_fork_beside_threads_in_stdio_does_not_hang,
    test_fork_handlers_that_were_there_before_ours_may_allocate,
    test_fork_in_a_signal_handler_beside_threads_does_not_hang,
    test_fork_in_a_signal_handler_does_not_hang,
    test_the_limit_is_a_limit,
)
from ...targets import Run

__all__ = [
    "test_a_fault_ends_the_program_with_one_line",
    "test_a_mapping_in_the_way_of_the_break_does_not_end_the_heap",
    "test_allocation_works_at_the_edges_of_a_programs_life",
    "test_filled_memory_shows_what_was_not_written_and_what_was_freed",
    "test_fork_beside_threads_in_stdio_does_not_hang",
    "test_fork_handlers_that_were_there_before_ours_may_allocate",
    "test_fork_in_a_signal_handler_beside_threads_does_not_hang",
    "test_fork_in_a_signal_handler_does_not_hang",
    "test_operators_new_and_delete_hold_under_preload",
    "test_small_alignment_is_kept_where_it_was_asked_for",
    "test_the_limit_is_a_limit",
]
SHIPPED = ("library", "library_of_the_wheel")


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode) or "plain")
@pytest.mark.parametrize("name", [*SHIPPED, "checking_library"])
def test_threads_free_each_others_blocks(
    name: str, mode: list[str], compile_program: Compile, run: Run, request: pytest.FixtureRequest
) -> None:
    run(compile_program("stress.c"), "4", "4000", "7", *mode, on=request.getfixturevalue(name))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_family_keeps_its_rules(
    name: str, compile_program: Compile, run: Run, request: pytest.FixtureRequest
) -> None:
    run(compile_program("family.c"), on=request.getfixturevalue(name))
