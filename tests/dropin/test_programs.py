"""Real programs under preload do what they do without it.

Each is run twice, without and with the library, and the outputs are compared. In the second run every process
reports at its end where its malloc came from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from snugmalloc.launch.launcher import launcher_path
from snugmalloc.launch.run_report import read_reports

from . import programs
from .redis import KEYS, running_redis

COMPANION = launcher_path().with_name("libsnug-run.so")
TOO_LONG = 600  # seconds: a program that takes longer hangs, on a slow machine too
PACKAGES = {
    "chromium": "chromium",
    "gs": "ghostscript",
    "lua": "lua5.4",
    "node": "nodejs",
    "php": "php-cli",
}
ON_UBUNTU = "ID=ubuntu\n" in Path("/etc/os-release").read_text()
# CPython's own tests that stress memory, threads and processes; those that need minutes are cut to a part.
CPYTHON_TESTS = (
    ["test_json"],
    ["test_threading"],
    ["test_thread"],
    ["test_fork1"],
    ["test_gc"],
    ["test_dict", "test_list", "test_set", "test_bytes"],
    ["test_zlib", "test_pickle", "test_re"],
    ["test_weakref", "test_capi"],
    ["test_multiprocessing_spawn", "-m", "*TestQueue*"],
    ["test_multiprocessing_fork", "-m", "*TestPool*"],
)


def need(program: str) -> str:
    """The path of a program; fails the test with the package that has it."""
    found = shutil.which(program)
    assert found, f"{program} is not installed: apt-get install {PACKAGES.get(program, program)}"
    return found


class Preloaded:
    """Runs commands without and with the library."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.library = library
        self.folder = folder
        self.reports = folder / "reports"
        self.reports.mkdir()

    def environment(self, *, preloaded: bool, settings: Mapping[str, str]) -> dict[str, str]:
        """The environment of a run; both have PYTHONMALLOC=malloc, so that Python's objects come from
        malloc."""
        environment = {**os.environ, "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", **settings}
        if preloaded:
            environment |= {
                "LD_PRELOAD": f"{self.library}:{COMPANION}",
                "_SNUG_RUN_REPORT": str(self.reports),
            }
        return environment

    def run(
        self, command: Sequence[object], *, preloaded: bool, given: str | None = None, **settings: str
    ) -> str:
        """What the command prints to stdout; fails the test if it does not end with status 0."""
        ended = subprocess.run(
            [str(word) for word in command],
            env=self.environment(preloaded=preloaded, settings=settings),
            cwd=self.folder,
            input=given,
            capture_output=True,
            text=True,
            timeout=TOO_LONG,
            errors="replace",
        )
        said = f"{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
        assert ended.returncode == 0, f"{command}, preloaded: {preloaded}: {ended.returncode}\n{said}"
        if preloaded:
            assert "snugmalloc:" not in ended.stderr and "ld.so" not in ended.stderr, ended.stderr
        return ended.stdout

    def same(
        self,
        command: Sequence[object],
        *,
        given: str | None = None,
        result: Callable[[], object] = lambda: None,
        **settings: str,
    ) -> str:
        """Run the command both ways; what it prints and then `result()` must be the same. What it printed."""
        plain = self.run(command, preloaded=False, given=given, **settings), result()
        ours = self.run(command, preloaded=True, given=given, **settings), result()
        assert ours == plain
        self.check_proof()
        return plain[0]

    def check_proof(self) -> None:
        """The preloaded run had its malloc from the library, and no process of it from libc.

        (A helper may have an allocator built in, as rustc, which pip asks for its version.)
        """
        reports = read_reports(self.reports).values()
        assert any(report.is_on(str(self.library)) and report.heap for report in reports)
        assert not [report.command for report in reports if "/libc.so" in (report.malloc_from or "")]


@pytest.fixture
def preloaded(library: Path, tmp_path: Path) -> Preloaded:
    """Runs commands in a fresh folder."""
    return Preloaded(library, tmp_path)


def digest(path: Path) -> str:
    """Of a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- Python ----------------------------------------------------------------------------------------------


def find_tested_python(modules: Sequence[str]) -> str:
    """A Python that has these of its own tests; fails the test if there is none, skips it if none has these."""
    pythons = [python for python in (sys.executable, "/usr/bin/python3") if has_tests(python, ["test_json"])]
    assert pythons, "no Python has its own tests: apt-get install libpython3.11-testsuite"
    for python in pythons:
        if has_tests(python, modules):
            return python
    pytest.skip(f"no Python here has {', '.join(modules)}")


def has_tests(python: str, modules: Sequence[str]) -> bool:
    """Whether the interpreter can find these modules of its own tests."""
    names = [f"test.{name}" for name in modules]
    probe = f"from importlib.util import find_spec; raise SystemExit(not all(map(find_spec, {names})))"
    return (
        bool(shutil.which(python))
        and subprocess.run([python, "-c", probe], capture_output=True).returncode == 0
    )


@pytest.mark.parametrize("modules", CPYTHON_TESTS, ids=lambda modules: "-".join(modules[::2]).replace("*", ""))
def test_cpythons_own_tests_pass(modules: list[str], preloaded: Preloaded) -> None:
    python = find_tested_python([module for module in modules if module.startswith("test_")])
    command = [python, "-m", "test", "--timeout", str(TOO_LONG - 10), *modules]
    said = preloaded.run(command, preloaded=True)
    assert "SUCCESS" in said
    preloaded.check_proof()


def test_pip_installs_a_package(preloaded: Preloaded) -> None:
    wheel = preloaded.folder / "many-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for number in range(300):
            file.writestr(f"many/module{number}.py", f"VALUES = {list(range(number))}\n")
        file.writestr("many/__init__.py", "from many.module299 import VALUES\n")
        file.writestr("many-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: many\nVersion: 1.0\n")
        file.writestr(
            "many-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("many-1.0.dist-info/RECORD", "")
    target = preloaded.folder / "target"

    def installed() -> object:
        files = sorted((path.relative_to(target), path.stat().st_size) for path in target.rglob("*.py"))
        shutil.rmtree(target)
        return files

    pip = [sys.executable, "-m", "pip", "--isolated", "--no-cache-dir", "--disable-pip-version-check"]
    preloaded.same([*pip, "install", "--no-index", "--no-deps", "--target", target, wheel], result=installed)


def test_numpy_computes_the_same(preloaded: Preloaded) -> None:
    python = "/usr/bin/python3"
    probe = subprocess.run([python, "-c", "import numpy"], capture_output=True)
    assert probe.returncode == 0, "numpy is not installed: apt-get install python3-numpy"
    preloaded.same([python, "-c", programs.NUMPY], OPENBLAS_NUM_THREADS="2")


def test_the_example_service_answers_the_same(preloaded: Preloaded) -> None:
    service = Path(__file__).parents[2] / "examples" / "service.py"
    assert preloaded.same([sys.executable, service, "--rushes", "1"]).startswith("checksum ")


# ---- Servers and databases -------------------------------------------------------------------------------


def redis(preloaded: Preloaded, on: bool) -> str:
    """What a redis-server holds after a benchmark, after it was saved by a forked child and loaded again."""
    environment = preloaded.environment(preloaded=on, settings={})
    with running_redis(preloaded.folder, f"redis{on}", environment=environment) as server:
        server.benchmark()
        server.fill_and_save()
        return server.cli("DEBUG", "RELOAD") + server.cli("DEBUG", "DIGEST-VALUE", *KEYS)


def test_redis_serves_the_same(preloaded: Preloaded) -> None:
    assert redis(preloaded, True) == redis(preloaded, False)
    preloaded.check_proof()


def test_sqlite_answers_the_same(preloaded: Preloaded) -> None:
    assert preloaded.same([need("sqlite3"), ":memory:"], given=programs.SQLITE).endswith("ok\n")


# ---- Compilers and tools ---------------------------------------------------------------------------------


def test_gcc_compiles_the_same(preloaded: Preloaded) -> None:
    (preloaded.folder / "program.c").write_text(programs.C_SOURCE)
    target = preloaded.folder / "program.o"
    preloaded.same([need("gcc"), "-O3", "-c", "program.c", "-o", target], result=lambda: digest(target))


def test_gpp_compiles_the_same_and_the_program_runs_the_same(preloaded: Preloaded) -> None:
    (preloaded.folder / "program.cpp").write_text(programs.CPP_SOURCE)
    program = preloaded.folder / "program"
    command = [need("g++"), "-std=c++17", "-O1", "-pthread", "program.cpp", "-o", program]
    preloaded.same(command, result=lambda: digest(program))
    preloaded.same([program])


def test_git_packs_the_same(preloaded: Preloaded) -> None:
    repository = preloaded.folder / "repository"
    script = """
        rm -rf repository && git init -q -b main repository && cd repository
        for turn in 1 2 3 4 5 6; do
            for file in 1 2 3 4 5 6 7 8 9 10; do seq $((turn * file)) $((turn * file * 70)) > file$file; done
            git add . && git commit -q -m "turn $turn"
        done
        git gc -q --aggressive --prune=now && git fsck --full --strict && git log --format=%H%s
        git diff HEAD~3 | sha1sum
    """
    fixed = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    fixed |= {f"GIT_{who}_DATE": "2001-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")}
    fixed |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    need("git")
    preloaded.same(["bash", "-ec", script], result=lambda: len(list(repository.rglob("*.pack"))), **fixed)


def test_perl_computes_the_same(preloaded: Preloaded) -> None:
    preloaded.same([need("perl"), "-e", programs.PERL])


def test_node_computes_the_same(preloaded: Preloaded) -> None:
    preloaded.same([need("node"), "-e", programs.NODE])


def test_lua_computes_the_same(preloaded: Preloaded) -> None:
    lua = shutil.which("lua5.4") or need("lua")
    preloaded.same([lua, "-e", programs.LUA])


@pytest.mark.parametrize("own_allocator", ["0", "1"])
def test_php_computes_the_same(own_allocator: str, preloaded: Preloaded) -> None:
    """It opens its extensions with RTLD_DEEPBIND."""
    command = [need("php"), "-r", programs.PHP.removeprefix("<?php")]
    preloaded.same(command, USE_ZEND_ALLOC=own_allocator)


def test_ghostscript_draws_the_same(preloaded: Preloaded) -> None:
    (preloaded.folder / "page.ps").write_text(programs.POSTSCRIPT)
    picture = preloaded.folder / "page.png"
    draw = [
        need("gs"),
        "-q",
        "-dNOPAUSE",
        "-dBATCH",
        "-sDEVICE=png16m",
        "-r100",
        f"-sOutputFile={picture}",
        "page.ps",
    ]
    preloaded.same(draw, result=lambda: digest(picture))


@pytest.mark.parametrize(
    "stressor",
    [
        ["--malloc", "2", "--malloc-ops", "30000", "--malloc-pthreads", "3"],
        ["--malloc", "1", "--malloc-ops", "30000", "--malloc-touch", "--malloc-thresh", "8192"],
        ["--bigheap", "1", "--bigheap-ops", "2000"],
        ["--brk", "1", "--brk-ops", "20000"],
        ["--fork", "2", "--fork-ops", "800"],
        ["--vm", "1", "--vm-bytes", "32M", "--vm-ops", "2000"],
    ],
    ids=lambda words: "-".join([words[0][2:], *words[5:6]]),
)
def test_the_memory_stressors_verify(stressor: list[str], preloaded: Preloaded) -> None:
    stress = [need("stress-ng"), "--verify", "--quiet", "--timeout", "20", "--temp-path", preloaded.folder]
    preloaded.run([*stress, *stressor], preloaded=True)


# ---- Off -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("harden", ["0", "1"])
@pytest.mark.parametrize("program", ["php", "node", "perl", "python"])
def test_programs_compute_the_same_where_the_library_is_off(
    program: str, harden: str, preloaded: Preloaded
) -> None:
    commands: dict[str, list[object]] = {
        "php": ["php", "-r", programs.PHP.removeprefix("<?php")],
        "node": ["node", "-e", programs.NODE],
        "perl": ["perl", "-e", programs.PERL],
        "python": [sys.executable, Path(__file__).parents[2] / "examples" / "service.py", "--rushes", "1"],
    }
    name, *arguments = commands[program]
    preloaded.same([need(str(name)), *arguments], SNUG_DISABLE="1", SNUG_HARDEN=harden)


@pytest.mark.skipif(ON_UBUNTU, reason="Ubuntu has chromium as a snap alone")
def test_chromium_renders_the_same(preloaded: Preloaded) -> None:
    """Its own processes have an allocator built in; the libraries that it loads are on ours."""
    (preloaded.folder / "page.html").write_text(programs.PAGE)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    profile = f"--user-data-dir={preloaded.folder}/profile"
    command = [
        need("chromium"),
        *flags,
        profile,
        "--virtual-time-budget=3000",
        f"file://{preloaded.folder}/page.html",
    ]
    plain = preloaded.run(command, preloaded=False)
    assert "800 " in plain
    assert preloaded.run(command, preloaded=True) == plain
