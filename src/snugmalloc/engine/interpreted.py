"""Loads the engine's modules to run under the interpreter: each time afresh, each on a machine of its own.

A plain ``import snugmalloc.engine.osmem.front`` works too and runs on one simulated machine per process. A
fresh load gives an engine whose state begins at zero, beside any number of others.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

from .backend import Backend

ENGINE = __package__
COMMON = f"{ENGINE}.common."
"""What the name of a module begins with that libraries share."""


def resolve_layer(library: str, layer: str) -> str:
    """The module of a layer: ``common.NAME`` is of the package that libraries share."""
    name = f"{ENGINE}.{layer}"
    return name if name.startswith(COMMON) else f"{ENGINE}.{library}.{layer}"


class FreshEngine:
    """The modules of one library of the engine (``"osmem"``), loaded afresh on `backend`.

    `constants` replaces module constants, by name, before anything uses them: ``{"DEBUG": 1}``.
    """

    def __init__(self, library: str, backend: Backend, constants: Mapping[str, int] | None = None) -> None:
        package = importlib.import_module(f"{ENGINE}.{library}")
        self._backend = backend
        self._library = f"{ENGINE}.{library}"
        self._constants = dict(constants or {})
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._modules: dict[str, ModuleType] = {}
        self.layers = {layer: self._module(resolve_layer(library, layer)) for layer in package.LAYERS}

    def _module(self, name: str) -> ModuleType:
        """The module `name` of this engine, loaded at its first use."""
        return self._modules.get(name) or self._load(name)

    def _load(self, name: str) -> ModuleType:
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None, name
        module = ModuleType(name)
        module.__dict__.update(__file__=spec.origin, __builtins__=self._builtins, __package__=spec.parent)
        source = Path(spec.origin).read_text()
        self._modules[name] = module
        exec(compile(source, spec.origin, "exec"), module.__dict__)
        if name == f"{ENGINE}.machine":
            module.__dict__["backend"] = self._backend
        for constant in self._constants.keys() & vars(module).keys():
            module.__dict__[constant] = self._constants[constant]
        return module

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        """The fresh module where the engine imports one of its own, else what it would get anyway."""
        if level and globals is not None:
            full = resolve_name("." * level + name, globals["__package__"])
            if full == f"{ENGINE}.machine" or full.startswith((f"{self._library}.", COMMON)):
                return self._module(full)
        return builtins.__import__(name, globals, locals, fromlist, level)

    def __getattr__(self, name: str) -> Any:
        """The engine's function, constant or state `name`, from the highest layer that has it."""
        for module in reversed(self.layers.values()):
            if name in vars(module):
                return vars(module)[name]
        raise AttributeError(name)
