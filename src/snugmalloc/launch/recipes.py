"""Owns the lines of a permanent setup where something else starts the program: an image, a unit, a chart.

Each recipe is text in its target's own syntax, to be added to what is there. The library is named by its
soname, which is right on any processor, wherever the library stands in a folder that the loader searches.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from snugmalloc.launch.preload import SONAME

Recipe = Callable[[Mapping[str, str]], str]
"""Makes the lines for an environment."""

FIND = "python3 -c 'import snugmalloc; print(snugmalloc.get_library(\"snugmalloc\"))'"
ABOUT_PYTHON = (
    "# PYTHONMALLOC is for Python: all its objects come from malloc. A free-threaded Python (3.13t) does not\n"
    "# start with it: snug install --keep-pymalloc omits it.\n"
)
GUNICORN_PYTHON = """\
    if "t" not in sys.abiflags:  # a free-threaded Python does not start with it
        os.environ["PYTHONMALLOC"] = "malloc"
"""


def settings_of(options: Mapping[str, str], *, plain_python: bool) -> dict[str, str]:
    """The environment: the library, for Python its own allocator turned off, then `options`."""
    return {"LD_PRELOAD": SONAME, **({"PYTHONMALLOC": "malloc"} if plain_python else {}), **options}


def for_docker(settings: Mapping[str, str]) -> str:
    """Lines of a Dockerfile."""
    pairs = " \\\n    ".join(f"{name}={value}" for name, value in settings.items())
    return f"""\
# snugmalloc for all programs of a container, for images with glibc: Debian, Ubuntu, python:3-slim; not Alpine.
# Put these lines after the last RUN, so that no build step runs on it, and before USER.
# The library of the Python package is copied to where the loader finds it by name.
RUN install -m 644 "$({FIND})" \\
    /usr/lib/{SONAME}
{_about_python(settings)}\
ENV {pairs}
"""


def for_systemd(settings: Mapping[str, str]) -> str:
    """A drop-in of a unit."""
    lines = "\n".join(f"Environment={name}={value}" for name, value in settings.items())
    return f"""\
# snugmalloc for a service: /etc/systemd/system/NAME.service.d/snugmalloc.conf, then, as root,
#     systemctl daemon-reload && systemctl restart NAME
# The library must be where the loader finds it by name. The Debian package libsnugmalloc0 puts it there;
# or copy it, as root, from the Python package:
#     install -m 644 "$({FIND})" \\
#         /usr/lib/{SONAME}
{_about_python(settings)}\
[Service]
{lines}
"""


def for_gunicorn(settings: Mapping[str, str]) -> str:
    """Lines of gunicorn.conf.py, in which the library is that of the Python package."""
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    others = "".join(
        f'    os.environ["{name}"] = "{value}"\n'
        for name, value in settings.items()
        if name not in ("LD_PRELOAD", "PYTHONMALLOC")
    )
    python = GUNICORN_PYTHON if "PYTHONMALLOC" in settings else ""
    return f"""\
# snugmalloc for gunicorn: lines of gunicorn.conf.py, best at its top. The loader reads LD_PRELOAD when a
# program starts, so gunicorn re-executes itself before it listens: the same process, with the same arguments.
# With the Debian package libsnugmalloc0 instead of the Python package, change the start command:
#     {words} gunicorn ...
import os
import sys

if "libsnugmalloc" not in os.environ.get("LD_PRELOAD", ""):
    import snugmalloc

    os.environ["LD_PRELOAD"] = f"{{snugmalloc.get_library('snugmalloc')}}:{{os.environ.get('LD_PRELOAD', '')}}"
{python}{others}\
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
"""


def for_helm(settings: Mapping[str, str]) -> str:
    """Values of a chart."""
    entries = "\n".join(f"  - name: {name}\n    value: {json.dumps(value)}" for name, value in settings.items())
    return f"""\
# snugmalloc for the pods of a chart, whose image has the library: snug install docker.
# Values for a chart that takes a list of variables, perhaps as extraEnv or extraEnvVars. Helm does not
# merge lists: add these entries to an existing list. Without Helm use the list of the container itself.
{_about_python(settings)}\
env:
{entries}
# A template of your own passes them to its container:
#          {{{{- with .Values.env }}}}
#          env:
#            {{{{- toYaml . | nindent 12 }}}}
#          {{{{- end }}}}
"""


def _about_python(settings: Mapping[str, str]) -> str:
    return ABOUT_PYTHON if "PYTHONMALLOC" in settings else ""


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {"docker": for_docker, "systemd": for_systemd, "gunicorn": for_gunicorn, "helm": for_helm}
)
