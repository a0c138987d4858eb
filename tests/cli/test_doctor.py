"""`snug doctor`: reads a process and the machine, and advises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snugmalloc.launch.allocators import find_allocators
from snugmalloc.launch.diagnosis import Finding, NoSuchProcess, diagnose, read_process

from .programs import snug

MAPS = """\
00400000-00500000 r-xp 00000000 08:01 1 /opt/bin/{program}
7f0000000000-7f0000100000 r-xp 00000000 08:01 2 {library}
7f0000200000-7f0000300000 rw-p 00000000 00:00 0 [stack]
"""
GIB = 1 << 30


def fake_machine(root: Path, **changes: str) -> Path:
    """A /proc with process 7, and a /sys."""
    texts = {
        "proc/7/maps": MAPS.format(
            program=changes.pop("program", "server"), library=changes.pop("library", "/lib/libc.so.6")
        ),
        "proc/7/environ": "HOME=/\0",
        "proc/7/status": "Name:\tx\nVmHWM:\t 2048 kB\nVmRSS:\t 1024 kB\nVmSwap:\t 0 kB\nTHP_enabled:\t1\n",
        "proc/7/limits": "Limit  Soft Limit  Hard Limit  Units\nMax data size  unlimited  unlimited  bytes\n",
        "proc/7/cgroup": "0::/a/b\n",
        "proc/sys/vm/overcommit_memory": "0\n",
        "proc/sys/vm/max_map_count": "65530\n",
        "proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nSwapTotal: 0 kB\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        **changes,
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "proc/7/exe").symlink_to("/opt/bin/server")
    return root


def findings(root: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnose(read_process(7, root), root)}


def test_a_plain_process_needs_little_advice(tmp_path: Path) -> None:
    found = findings(fake_machine(tmp_path))
    assert found["process"].value == "7: /opt/bin/server"
    assert found["memory"].value == "1.0 MiB resident, peak 2.0 MiB"
    assert found["allocator"].value.startswith("the system's malloc, /lib/libc.so.6")
    assert found["preloaded"].value == "nothing"
    assert found["machine"].value == "2.0 GiB available of 4.0 GiB, swap none"
    assert [name for name, finding in found.items() if finding.advice] == ["allocator"]


@pytest.mark.parametrize(
    ("name", "text", "finding", "value", "advice"),
    [
        (
            "proc/7/environ",
            "MALLOC_ARENA_MAX=2",
            "setting",
            "MALLOC_ARENA_MAX=2",
            "only glibc's malloc reads it",
        ),
        ("proc/7/environ", "SNUG_LIMIT=1G", "setting", "SNUG_LIMIT=1G", None),
        (
            "proc/7/environ",
            "LD_PRELOAD=/x/libother.so",
            "preloaded",
            "/x/libother.so: NOT loaded",
            "could not load it",
        ),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "[always] never",
            "huge pages",
            "always",
            "echo madvise",
        ),
        ("sys/fs/cgroup/a/memory.max", str(GIB), "cgroup limit", "1.0 GiB", "SNUG_LIMIT=921M"),
        ("sys/fs/cgroup/a/b/memory.max", "max", "cgroup limit", "none", None),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", str(2 * GIB), "cgroup limit", "2.0 GiB", "SNUG_LIMIT"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", str((1 << 63) - 4096), "cgroup limit", "none", None),
        ("proc/sys/vm/overcommit_memory", "2", "overcommit", "2, strict", "vm.overcommit_ratio"),
        ("proc/sys/vm/max_map_count", "5", "mappings", "3 of at most 5", "vm.max_map_count"),
        (
            "proc/7/limits",
            "Limit  Soft  Hard\nMax address space  1073741824  unlimited  bytes\n",
            "limits",
            "address space (ulimit -v) 1.0 GiB",
            "raise them",
        ),
    ],
)
def test_each_thing_that_matters_is_found_and_advised_on(
    name: str, text: str, finding: str, value: str, advice: str | None, tmp_path: Path
) -> None:
    found = findings(fake_machine(tmp_path, **{name: text}))[finding]
    assert found.value == value
    assert (advice is None) == (found.advice is None)
    assert advice is None or (found.advice is not None and advice in found.advice)


def test_a_preloaded_allocator_is_the_one_in_use(tmp_path: Path) -> None:
    library = "/usr/lib/libjemalloc.so.2"
    root = fake_machine(tmp_path, library=library, **{"proc/7/environ": f"LD_PRELOAD={library}"})
    assert findings(root)["allocator"].value == library


def test_snugmalloc_that_is_only_imported_is_a_second_heap(tmp_path: Path) -> None:
    root = fake_machine(tmp_path, library="/x/lib/libsnugmalloc.so")
    assert "second heap" in findings(root)["allocator"].value


def test_a_static_program_is_known(tmp_path: Path) -> None:
    assert "statically linked" in findings(fake_machine(tmp_path, library="[heap]"))["allocator"].value


def test_pythons_own_allocator_is_told(tmp_path: Path) -> None:
    root = fake_machine(tmp_path)
    (root / "proc/7/exe").unlink()
    (root / "proc/7/exe").symlink_to("/usr/bin/python3.12")
    assert "pymalloc" in findings(root)["Python's objects"].value
    (root / "proc/7/environ").write_text("PYTHONMALLOC=malloc")
    assert findings(root)["Python's objects"].value == "from malloc (PYTHONMALLOC=malloc)"


def test_a_process_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchProcess, match="no process 8"):
        read_process(8, fake_machine(tmp_path))
    ended = snug("doctor", "4194304")
    assert (ended.returncode, ended.stderr) == (1, "snug: there is no process 4194304\n")


def test_without_a_process_it_looks_at_its_own_python() -> None:
    ended = snug("doctor", "--json")
    found = {finding["name"]: finding["value"] for finding in json.loads(ended.stdout)}
    assert str(Path(sys.executable).resolve()) in found["process"]
    assert found["page size"] == f"{os.sysconf('SC_PAGESIZE') / 1024:.1f} KiB"
    assert {"allocator", "preloaded", "huge pages", "cgroup limit", "limits", "overcommit"} <= set(found)


def test_a_running_process_and_its_allocator_are_seen() -> None:
    (peer,) = find_allocators(["jemalloc"])
    with subprocess.Popen(
        ["sh", "-c", "echo there; read line"],
        env={"LD_PRELOAD": str(peer.path), "PATH": os.defpath},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        ended = snug("doctor", str(process.pid), COLUMNS="120")
        process.communicate(b"\n")
    assert ended.returncode == 0
    assert "libjemalloc.so.2" in ended.stdout and "snug compare" in ended.stdout
