"""Images of containers in a tar: which members are layers."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit
from modelaudit.parsers.tar.walk import Member


class Image:
    """A tar that may hold an image."""

    def __init__(self, blob: Blob, members: list[Member], limits: Limits) -> None:
        self._kind = ""

    def items(self) -> Iterator[Hit | Asset]:
        """What is wrong with the image, and what it is."""
        return
        yield

    def layer(self, member: Member) -> Child | None:
        """The member as a layer, if it is one."""
        return None
