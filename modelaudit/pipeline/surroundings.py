"""The names around an object, asked for when a scan wants them, and remembered for its neighbours."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from modelaudit.errors import SourceError
from modelaudit.model import Target
from modelaudit.sources.interface import Source

Names = Mapping[str, int | None]

_REMEMBERED: Final = 8  # folders; the objects of one come one after the other


class Surroundings:
    """What lies beside the objects of a run."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, str], Names | None] = OrderedDict()

    async def names(self, source: Source, target: Target, folder: str) -> Names | None:
        """The names in `folder`, relative to the folder of `target`; None where they cannot be had.

        A folder above that one, or beside it, is nobody's business: None as well.
        """
        parts = folder.split("/") if folder else []
        if any(part in ("", ".", "..") for part in parts) or not folder.isprintable():
            return None
        place = (source.scheme, target.key.rpartition("/")[0], folder)
        if place not in self._known:
            try:
                self._known[place] = await source.names(target, folder)
            except SourceError:
                self._known[place] = None
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(place)
        return self._known[place]
