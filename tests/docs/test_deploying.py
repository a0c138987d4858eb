"""docs/deploying.md: its blocks are taken by the tools they are for, and are what `snug install` prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

from snugmalloc.launch.recipes import RECIPES, settings_of

from .documents import blocks_of
from .test_documents import ROOT

PAGE = (ROOT / "docs" / "deploying.md").read_text()
SETTINGS = settings_of({}, plain_python=True)


def shown(language: str) -> list[str]:
    """The blocks in `language`."""
    return [block.text for block in blocks_of(PAGE) if block.language == language]


def lines_of(target: str) -> list[str]:
    """What is printed for `target`, without the comments."""
    return [line for line in RECIPES[target](SETTINGS).splitlines() if not line.startswith("#")]


def test_the_dockerfiles_are_as_their_linter_wants_them() -> None:
    images = shown("dockerfile")
    for image in images:
        hadolint = Path(sys.executable).with_name("hadolint")
        linted = subprocess.run([hadolint, "-"], input=image, capture_output=True, text=True)
        assert (linted.returncode, linted.stdout) == (0, "")
    assert "\n".join(lines_of("docker")) in images[0]


def test_kubernetes_takes_the_deployment() -> None:
    (deployment,) = map(yaml.safe_load, shown("yaml"))
    kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["env"] == yaml.safe_load("\n".join(lines_of("helm")))["env"]


def test_each_target_is_in_the_page() -> None:
    for target in RECIPES:
        assert f"    snug install {target} >" in PAGE
