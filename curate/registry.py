"""Plug-ins as files: each module in a folder is one choice, found by its name without being imported."""

import importlib
import importlib.util
import pkgutil
from types import ModuleType

from curate.errors import UsageError


class Registry:
    """The modules of one package: `label_studio.py` is the choice `label-studio`; names with a leading `_` are not.

    Finding the names imports the package that holds them but none of its modules, so `--help` can list choices whose
    imports are heavy.
    """

    def __init__(self, package: str, kind: str) -> None:
        """Take the dotted name of the package, and what a choice is called in messages, such as "receiver profile"."""
        self.package = package
        self.kind = kind

    def names(self) -> tuple[str, ...]:
        """The choices, sorted. RuntimeError where two modules have one name."""
        return tuple(sorted(self._modules()))

    def load(self, name: str) -> ModuleType:
        """Import the module of a choice; UsageError with the list of choices where there is none of that name."""
        modules = self._modules()
        if name not in modules:
            raise UsageError(f"{self.kind} {name!r}: unknown; choose from {', '.join(sorted(modules)) or '(none)'}")
        return importlib.import_module(f"{self.package}.{modules[name]}")

    def _modules(self) -> dict[str, str]:
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.submodule_search_locations is None:
            raise RuntimeError(f"{self.package}: not a package")
        modules: dict[str, str] = {}
        # One location at a time: given all at once, pkgutil silently drops the second module of a name.
        for location in spec.submodule_search_locations:
            for module in pkgutil.iter_modules([location]):
                if module.name.startswith("_"):
                    continue
                name = module.name.replace("_", "-")
                if name in modules:
                    raise RuntimeError(f"{self.package}: two modules are named {name!r}; rename one")
                modules[name] = module.name
        return modules
