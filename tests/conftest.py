"""The packages that are handed out, built once; how compiled programs run; which tests run beside which."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from distribution.source import build_source
from distribution.wheels import build_wheel

from .targets import HERE, Run, Target

TESTS = Path(__file__).parent
WheelFor = Callable[[str], Path]

# The same examples each time, so that a change alone can make a test fail; without a limit of time for each,
# which depends on the machine. `--hypothesis-profile=default` looks for new examples.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

ALONE = (
    "cli/test_launcher.py",
    "cli/test_live_heap.py",
    "cli/test_metrics.py",
    "cli/test_record_running.py",
    "cli/test_top.py",
    "dropin/test_given_back.py",
    "dropin/test_private_heaps.py",
    "dropin/test_programs.py",
    "dropin/test_publish.py",
    "dropin/test_stress.py",
    "ring/",
)
"""What looks at memory over time, or at processes while they run: one such test at a time."""
TOGETHER = {"aarch64": "packages", "packaging": "packages", "view": "view"}
"""Folders whose tests share what takes long to make: the packages, the browser."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist looks at the marks in its own
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Tell pytest-xdist which tests one process runs, one after another: those of a group."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.path.relative_to(TESTS).as_posix())))


def group_of(file: str) -> str:
    """The group of the tests in a file."""
    if file.startswith(ALONE):
        return "alone"
    return TOGETHER.get(file.partition("/")[0], file)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let programs be interrupted and hung up.

    What a shell or `nohup` runs in the background ignores the one or the other, and its children with it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def source_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist."""
    return build_source(tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel_for(source_package: Path, tmp_path_factory: pytest.TempPathFactory) -> WheelFor:
    """Gives the wheel for a processor, which is made of the sdist."""
    folder = tmp_path_factory.mktemp("wheels")
    return cache(lambda processor: build_wheel(source_package, processor, folder))


@pytest.fixture(scope="session")
def target() -> Target:
    """The kind of machine that programs are compiled for."""
    return HERE


@pytest.fixture(scope="session")
def run(target: Target) -> Run:
    """Runs a program, on the malloc that is preloaded if one is."""
    return target.run
