"""A copy of this system in which what `snug install` prints is carried out, and what must come of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from snugmalloc.launch.preload import SONAME

from .builds import ROOT

INSTALL_LINE = re.compile(r"^(?:RUN|#) *(install (?:.*\\\n.*|.*))$", re.MULTILINE)
"""The command that puts the library where the loader looks, among the printed lines."""

ROOM = """\
room=$1 script=$2
shift 2
mount -t tmpfs none "$room"
mkdir "$room/upper" "$room/work" "$room/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$room/upper",workdir="$room/work" "$room/root"
for folder in "$@"; do
    mkdir -p "$room/root$folder"
    mount --rbind "$folder" "$room/root$folder"
done
cd /
exec chroot "$room/root" sh -e -c "$script"
"""


def carry_out(script: str, folder: Path, environment: Path = Path(sys.prefix)) -> str:
    """What `script` prints as root in a copy of this system, of which nothing stays.

    Python and its programs are those of the virtual `environment`. Skips the test where nothing may be mounted.
    """
    namespace = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    shared = ["/proc", "/dev", str(ROOT), sys.base_prefix, str(environment)]
    room = [*namespace, "sh", "-e", "-c", ROOM, "room", str(folder)]
    if subprocess.run([*room, "true", *shared], capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    ended = subprocess.run(
        [*room, script, *shared],
        env={**os.environ, "PATH": f"{environment}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def ask_doctor(environment: Mapping[str, str]) -> str:
    """A line of a script that prints what the doctor finds of a Python with `environment`."""
    return shlex.join(
        ["env", *(f"{name}={value}" for name, value in environment.items()), "snug", "doctor", "--json"]
    )


def check_findings(told: str) -> None:
    """That `told` is what the doctor says where all is well."""
    found = {finding["name"]: finding for finding in json.loads(told)}
    assert found["allocator"]["value"] == f"/usr/lib/{SONAME}"
    assert (found["preloaded"]["value"], found["preloaded"]["advice"]) == (SONAME, None)
    assert found["Python's objects"]["value"] == "from malloc (PYTHONMALLOC=malloc)"
