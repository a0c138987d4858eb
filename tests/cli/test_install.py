"""`snug install`: what it prints is tried by the tool that it is for, and as far as it can be, carried out."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from snugmalloc.launch.preload import SONAME
from snugmalloc.launch.recipes import RECIPES

from ..deployed import INSTALL_LINE, ask_doctor, carry_out, check_findings
from .programs import SNUG, snug

PLAIN = {"LD_PRELOAD": "libsnugmalloc.so.0", "PYTHONMALLOC": "malloc"}
SET = {"SNUG_LIMIT": "64M", "SNUG_HARDEN": "1"}
WAYS = {
    "plain": ((), PLAIN),
    "set": (("--set", "limit=64M", "--set", "harden=1"), PLAIN | SET),
    "keep-pymalloc": (("--keep-pymalloc",), {"LD_PRELOAD": PLAIN["LD_PRELOAD"]}),
}
BIN = Path(sys.executable).parent

way = pytest.mark.parametrize(("options", "expected"), WAYS.values(), ids=WAYS)


def lines_for(target: str, *options: str) -> str:
    """What the command prints for `target`."""
    ended = snug("install", target, *options)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


# ---- What holds for all ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", RECIPES)
def test_only_lines_are_printed_and_the_same_on_every_machine(target: str) -> None:
    printed = lines_for(target)
    assert printed.endswith("\n") and "\n\n\n" not in printed
    assert str(Path.home()) not in printed and str(BIN) not in printed
    assert max(map(len, printed.splitlines())) <= 112


@pytest.mark.parametrize("target", RECIPES)
def test_a_free_threaded_python_gets_no_setting_that_it_does_not_start_with(target: str) -> None:
    assert "PYTHONMALLOC" in lines_for(target) and "free-threaded" in lines_for(target)
    assert "PYTHONMALLOC" not in lines_for(target, "--keep-pymalloc")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing argument"),
        (["helmet"], "'helmet' is not one of 'docker', 'systemd', 'gunicorn', 'helm'"),
        (["docker", "--set", "limt=1"], "limt: no such option"),
        (["docker", "--set", "limit=much"], "limit=much: 0 and more bytes"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(words: list[str], said: str) -> None:
    ended = snug("install", *words)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert said in ended.stderr


# ---- The line that puts the library where the loader looks ------------------------------------------------


@pytest.mark.parametrize("target", ["docker", "systemd"])
def test_the_line_that_puts_the_library_in_its_place_does_it(target: str, tmp_path: Path) -> None:
    (line,) = INSTALL_LINE.findall(lines_for(target))
    command = line.replace("\n#", "\n")
    ask = f"stat --format %a /usr/lib/{SONAME}\n{ask_doctor(PLAIN)}"
    mode, told = carry_out(f"umask 077\n{command}\n{ask}", tmp_path).split("\n", 1)
    assert mode == "644"
    check_findings(told)
    assert not Path("/usr/lib", SONAME).exists()


def test_without_the_package_that_line_fails(tmp_path: Path) -> None:
    (line,) = INSTALL_LINE.findall(lines_for("docker"))
    printed = carry_out(f"PATH=/usr/bin; ({line}) 2>/dev/null || ls /usr/lib/{SONAME} 2>&1 || true", tmp_path)
    assert "No such file" in printed


# ---- Docker ----------------------------------------------------------------------------------------------


@way
def test_the_lines_of_a_dockerfile_are_as_its_linter_wants_them(
    options: tuple[str, ...], expected: dict[str, str]
) -> None:
    text = f"FROM python:3.13-slim\n{lines_for('docker', *options)}USER 1000\n"
    linted = subprocess.run([BIN / "hadolint", "-"], input=text, capture_output=True, text=True)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
    parser = DockerfileParser(fileobj=io.StringIO(text))
    steps = [step["instruction"] for step in parser.structure if step["instruction"] != "COMMENT"]
    assert steps == ["FROM", "RUN", "ENV", "USER"]
    assert dict(parser.envs) == expected


def test_the_linter_finds_what_is_wrong() -> None:
    text = f"FROM python:3.13-slim\n{lines_for('docker').replace('ENV ', 'ENVIRONMENT ')}"
    assert subprocess.run([BIN / "hadolint", "-"], input=text, capture_output=True, text=True).returncode == 1


def test_all_lines_of_a_dockerfile_are_carried_out(tmp_path: Path) -> None:
    parser = DockerfileParser(fileobj=io.StringIO(f"FROM scratch\n{lines_for('docker')}"))
    (step,) = [step["value"] for step in parser.structure if step["instruction"] == "RUN"]
    check_findings(carry_out(f"{step}\n{ask_doctor(parser.envs)}", tmp_path))


# ---- systemd ---------------------------------------------------------------------------------------------


def verify(folder: Path, drop_in: str) -> str:
    """What systemd says of a unit with a drop-in."""
    unit = folder / "app.service"
    unit.write_text("[Unit]\nDescription=An application\n[Service]\nExecStart=/bin/true\n")
    (folder / "app.service.d").mkdir()
    (folder / "app.service.d" / "snugmalloc.conf").write_text(drop_in)
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", unit], capture_output=True, text=True
    )
    return ended.stdout + ended.stderr


@way
def test_systemd_takes_the_drop_in(options: tuple[str, ...], expected: dict[str, str], tmp_path: Path) -> None:
    drop_in = lines_for("systemd", *options)
    assert verify(tmp_path, drop_in) == ""
    section, *settings = [line for line in drop_in.splitlines() if not line.startswith("#")]
    assert section == "[Service]"
    assert dict(line.removeprefix("Environment=").split("=", 1) for line in settings) == expected


def test_systemd_looks_at_the_drop_in(tmp_path: Path) -> None:
    assert "snugmalloc.conf" in verify(tmp_path, lines_for("systemd").replace("Environment=", "Environs="))


# ---- gunicorn --------------------------------------------------------------------------------------------

APPLICATION = """\
import json, os

def application(environ, start_response):
    start_response("200 OK", [])
    with open("/proc/self/maps") as maps:
        names = sorted({line.split()[-1] for line in maps if ".so" in line})
    return [json.dumps([os.getpid(), os.getppid(), names, dict(os.environ)]).encode()]
"""
Answer = tuple[int, int, list[str], dict[str, str]]
"""A worker's process id, its parent's, the libraries in it, and its environment."""


@contextmanager
def gunicorn(start: list[str], folder: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running gunicorn with the printed configuration, in `folder`."""
    (folder / "application.py").write_text(APPLICATION)
    words = [*start, "--bind", "unix:socket", "application"]
    environment = {**os.environ, "HOME": str(folder), **settings}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def answer_of(folder: Path, process: subprocess.Popen[bytes]) -> Answer:
    """What a worker answers, once there is one."""
    while process.poll() is None:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(os.path.relpath(folder / "socket"))  # its path may be too long
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                reply = b"".join(iter(lambda: client.recv(65536), b""))
                pid, parent, names, environment = json.loads(reply.partition(b"\r\n\r\n")[2])
                return pid, parent, names, environment
            except (OSError, ValueError):
                time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())


STARTS = {"program": [str(BIN / "gunicorn")], "module": [sys.executable, "-m", "gunicorn"]}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@way
def test_gunicorn_and_its_workers_run_on_the_library(
    options: tuple[str, ...], expected: dict[str, str], start: list[str], tmp_path: Path
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(f"workers = 2\n{lines_for('gunicorn', *options)}")
    with gunicorn(start, tmp_path, LD_PRELOAD="libm.so.6") as process:
        worker, master, names, environment = answer_of(tmp_path, process)
        assert master == process.pid
        assert any(name.endswith("/libsnugmalloc.so") for name in names)
        library, others = environment["LD_PRELOAD"].split(":", 1)
        assert (Path(library).name, others) == ("libsnugmalloc.so", "libm.so.6")
        assert expected | environment | {"LD_PRELOAD": SONAME} == environment | {"LD_PRELOAD": SONAME}
        for pid in (worker, master):
            ended = snug("doctor", str(pid), "--json")
            found = {finding["name"]: finding["value"] for finding in json.loads(ended.stdout)}
            assert found["allocator"] == library
            assert ("from malloc" in found["Python's objects"]) == ("PYTHONMALLOC" in expected)


def test_gunicorn_reads_the_lines_again_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(f"{lines_for('gunicorn')}workers = 2\n")
    with gunicorn(STARTS["program"], tmp_path) as process:
        _, master, _, environment = answer_of(tmp_path, process)
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        process.send_signal(signal.SIGHUP)
        while str((answer := answer_of(tmp_path, process))[0]) in workers:
            time.sleep(0.05)
    _, parent, names, newer_environment = answer
    assert (parent, newer_environment) == (master, environment)
    assert environment["LD_PRELOAD"].rstrip(":") in names


def test_gunicorn_that_is_on_the_library_already_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(f"{lines_for('gunicorn')}workers = 2\n")
    with gunicorn([str(SNUG), "run", "--", *STARTS["program"]], tmp_path) as process:
        _, master, _, environment = answer_of(tmp_path, process)
    assert master == process.pid
    assert environment["LD_PRELOAD"].count("libsnugmalloc") == 1 and not environment["LD_PRELOAD"].endswith(":")


# ---- Helm ------------------------------------------------------------------------------------------------

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  selector:
    matchLabels: {{app: app}}
  template:
    metadata:
      labels: {{app: app}}
    spec:
      containers:
        - name: app
          image: app:1
{lines}
"""
FILLED = "            {{- toYaml . | nindent 12 }}"


def render(text: str) -> dict[str, Any]:
    """The deployment that Helm makes of the values and the template in `text`; its functions are stand-ins."""
    values = yaml.safe_load(text)
    template = [line[1:] for line in text.splitlines() if re.match(r"# {10}", line)]
    first, *lines, last = template
    assert (first.strip(), last.strip()) == ("{{- with .Values.env }}", "{{- end }}")
    assert list(values) == ["env"] and lines[1:] == [FILLED]
    dumped = yaml.safe_dump(values["env"]).splitlines()
    deployment: dict[str, Any] = yaml.safe_load(
        DEPLOYMENT.format(lines="\n".join([lines[0], *(" " * 12 + line for line in dumped)]))
    )
    return deployment


@way
def test_kubernetes_takes_the_deployment_made_of_values_and_template(
    options: tuple[str, ...], expected: dict[str, str]
) -> None:
    deployment = render(lines_for("helm", *options))
    kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {entry["name"]: entry["value"] for entry in container["env"]} == expected


def test_kubernetes_takes_no_number_for_a_variable() -> None:
    deployment = render(lines_for("helm", "--set", "harden=1").replace('"1"', "1"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)
