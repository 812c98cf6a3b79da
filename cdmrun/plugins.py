"""Members from other packages: found by the entry-point group ``cdmrun.plugins``.

An entry point names a tuple of `cdmrun.registry.Member` in a module that is quick to import. Nothing is registered by
a side effect of importing, so the order of imports decides nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdmrun.errors import UserError

GROUP = "cdmrun.plugins"


@dataclass(frozen=True)
class Plugin:
    """One entry point of an installed package; ``entry`` is ``module:attribute``."""

    package: str
    version: str
    entry: str

    def load(self) -> tuple[Any, ...]:
        """Import the declarations.

        Raises
        ------
        UserError
            If that fails; it names the package, and how to be rid of it.
        """
        try:
            point = importlib.metadata.EntryPoint(self.package, self.entry, GROUP)
            return tuple(point.load())
        except Exception as error:  # whatever code of others does, its users should learn whose it is
            raise self.broken(f"{self.entry} cannot be loaded: {type(error).__name__}: {error}") from error

    def broken(self, why: str) -> UserError:
        """The error that names this plugin."""
        return UserError(
            f"plugin {self.package} {self.version}: {why}",
            f"mend it, or remove it: python -m pip uninstall {self.package}",
        )

    def sources(self) -> list[Path]:
        """The Python files that a product made with its members depends on: the module, or all of its package."""
        spec = importlib.util.find_spec(self.entry.split(":")[0].split(".")[0])
        if spec is None or spec.origin is None:
            return []
        origin = Path(spec.origin)
        return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def installed_plugins() -> list[Plugin]:
    """Every plugin that is installed, by package and entry, so that the order is the same everywhere."""
    found = {
        Plugin(point.dist.name, point.dist.version, point.value)
        for point in importlib.metadata.entry_points(group=GROUP)
        if point.dist is not None
    }
    return sorted(found, key=lambda plugin: (plugin.package, plugin.entry))
