"""Processes that are off, and plug-ins opened with RTLD_DEEPBIND, on aarch64."""

from __future__ import annotations

from ...dropin.test_plugins import (
    program,
    test_an_option_leaves_the_flag,
    test_plugins_find_the_programs_malloc,
    test_so_they_do_in_the_debug_build,
)
from ...dropin.test_switch import switched, test_calls_go_to_libc_and_early_blocks_to_the_heap

__all__ = [
    "program",
    "switched",
    "test_an_option_leaves_the_flag",
    "test_calls_go_to_libc_and_early_blocks_to_the_heap",
    "test_plugins_find_the_programs_malloc",
    "test_so_they_do_in_the_debug_build",
]
