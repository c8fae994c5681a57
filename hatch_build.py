"""What building the package does besides packing it: a copy of the catalogue's tables that is read fast."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling for wheels, those of editable installations too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the copy into the source tree, from where it is packed."""
        folder = Path(self.root) / "modelaudit" / "catalogue"
        spec = importlib.util.spec_from_file_location("tables", folder / "tables.py")
        if spec is None or spec.loader is None:
            raise FileNotFoundError(folder / "tables.py")
        tables = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tables)
        tables.copy(folder)
        build_data["artifacts"].append(f"modelaudit/catalogue/{tables.COPY}")
