"""Where the paths of an archive lead once its symbolic links are followed, as an operating system follows them."""

import enum

import msgspec

_HOPS = 40  # links followed for one path; Linux gives up there as well (path_resolution(7))
_STEPS = 2048  # parts of one path; PATH_MAX is 4096 bytes
_LINKS = 200_000  # kept for one archive


class Leads(enum.Enum):
    """Where a path leads. `MAZE`: beyond what systems resolve, which has let links past checks (CVE-2025-4517)."""

    INSIDE = enum.auto()
    OUTSIDE = enum.auto()
    MAZE = enum.auto()


class _Node(msgspec.Struct):
    below: dict[str, "_Node"] = msgspec.field(default_factory=dict)
    target: str | None = None


class Links:
    """The symbolic links of an archive. In a `rooted` one, a root file system, absolute paths begin at its own root."""

    def __init__(self, *, rooted: bool = False) -> None:
        self._root = _Node()
        self._rooted = rooted
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, path: str, target: str) -> None:
        """A link at `path` to `target`; beyond 200,000 they are forgotten."""
        if self._count >= _LINKS or len(path) > 2 * _STEPS:
            return
        self._count += 1
        node = self._root
        for part in _parts(path):
            node = node.below.setdefault(part, _Node())
        node.target = target

    def target_of(self, path: str) -> str | None:
        """What the link at `path` says, if there is one."""
        node: _Node | None = self._root
        for part in _parts(path):
            node = node.below.get(part) if node is not None else None
        return node.target if node is not None else None

    def crossed(self, path: str, *, last: bool) -> str | None:
        """The first part of `path` that is a link, as a path; the `last` part counts only if that is said."""
        if not self._count:
            return None
        parts = _parts(path)
        node = self._root
        for index, part in enumerate(parts):
            if part not in node.below:
                return None
            node = node.below[part]
            if node.target is not None and (last or index < len(parts) - 1):
                return "/".join(parts[: index + 1])
        return None

    def lead(self, path: str) -> Leads:
        """Where `path`, read from the root of the archive, leads when every link on the way is followed."""
        if path.startswith("/") and not self._rooted:
            return Leads.OUTSIDE
        if len(path) > 2 * _STEPS:
            return Leads.MAZE
        todo = path.split("/")[::-1]
        way: list[_Node | None] = [self._root]
        hops = steps = 0
        while todo:
            part = todo.pop()
            steps += 1
            if steps > _STEPS:
                return Leads.MAZE
            if part in {"", "."}:
                continue
            if part == "..":
                if len(way) == 1 and not self._rooted:
                    return Leads.OUTSIDE
                if len(way) > 1:
                    way.pop()
                continue
            node = way[-1].below.get(part) if way[-1] is not None else None
            if node is None or node.target is None:
                way.append(node)
                continue
            hops += 1
            if hops > _HOPS:
                return Leads.MAZE
            if node.target.startswith("/"):
                if not self._rooted:
                    return Leads.OUTSIDE
                way = [self._root]
            todo += node.target[: 2 * _STEPS].split("/")[::-1]
        return Leads.INSIDE


def _parts(path: str) -> list[str]:
    """The parts of a path, with `.` and `..` taken out as far as its text alone tells."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return parts
