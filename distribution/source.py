"""Builds the source package, of which all others are made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "dist"


def build_source(output: Path) -> Path:
    """The source package, built into the folder `output`. Raises CalledProcessError."""
    code = f"from scikit_build_core.build import build_sdist; print(build_sdist({str(output.absolute())!r}))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return output / said.stdout.split()[-1]
