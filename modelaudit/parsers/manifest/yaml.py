"""YAML by the events of PyYAML, from which nothing is ever constructed (https://yaml.org/spec/1.1/).

Tags are kept in full, aliases stay where they are, and what they would expand to is only counted.
"""

from typing import Any

from modelaudit.limits import Limits
from modelaudit.parsers.manifest.tree import Alias, Document, Pairs, Tagged

_MOST = 1 << 62  # counts of expanded nodes stop here: the numbers of a bomb have thousands of digits
_SLOW_BYTES = 256 * 1024  # without libyaml the events come thirty times slower


class _Open:
    """A mapping or list that has not ended: its node, and what it grows to when aliases are followed."""

    __slots__ = ("anchor", "key", "line", "node", "size", "tag")

    def __init__(self, node: list[Any], anchor: str | None, tag: str | None, line: int) -> None:
        self.node = node
        self.anchor = anchor
        self.tag = tag
        self.line = line
        self.size = 1
        self.key: str | None = None


def parse(text: str, limits: Limits) -> Document:
    """Read every document of the text. What breaks it is in `Document.broken`; what came before stays.

    A document that broke is kept as far as it was read, after the whole ones.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", None)
    if loader is None:
        loader, text = yaml.SafeLoader, text[:_SLOW_BYTES]
    reading = _Reading(limits)
    try:
        for event in yaml.parse(text, Loader=loader):
            reading.take(event)
            if reading.document.broken is not None:
                break
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" in line {mark.line + 1}"
        reading.document.broken = f"not YAML{place}: {getattr(error, 'problem', None) or type(error).__name__}"
    return reading.done()


class _Reading:
    """Builds the tree from events with a stack of its own; nothing here recurses."""

    def __init__(self, limits: Limits) -> None:
        self.document = Document("yaml")
        self._limits = limits
        self._stack: list[_Open] = []
        self._sizes: dict[str, int] = {}

    def done(self) -> Document:
        """The document; open containers are closed as they are."""
        while self._stack:
            self._close()
        return self.document

    def take(self, event: Any) -> None:
        """One event. Sets `broken` where a bound is reached."""
        kind = type(event).__name__
        if kind == "ScalarEvent":
            value: object = event.value
            if event.tag not in (None, "!"):
                value = Tagged(event.tag, value, event.start_mark.line + 1)
            if event.anchor is not None:
                self._sizes[event.anchor] = 1
            self._add(value, 1)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            node = Pairs() if kind == "MappingStartEvent" else []
            tag = None if event.tag in (None, "!") else event.tag
            if event.anchor is not None:
                self._sizes[event.anchor] = -1
            self._stack.append(_Open(node, event.anchor, tag, event.start_mark.line + 1))
            if len(self._stack) > self._limits.text_depth:
                self.document.too_deep = len(self._stack)
                self.document.broken = f"nested more than {self._limits.text_depth} deep"
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._close()
        elif kind == "AliasEvent":
            size = self._sizes.get(event.anchor, 1)
            if size < 0:
                self.document.cyclic = event.anchor
                size = 1
            self._add(Alias(event.anchor), size)
        elif kind == "DocumentStartEvent":
            self._sizes = {}

    def _close(self) -> None:
        done = self._stack.pop()
        if done.anchor is not None:
            self._sizes[done.anchor] = done.size
        if done.key is not None:
            done.node.append((done.key, None))
        self._add(done.node if done.tag is None else Tagged(done.tag, done.node, done.line), done.size)

    def _add(self, value: object, size: int) -> None:
        document = self.document
        document.nodes += 1
        if document.nodes > self._limits.text_nodes:
            document.broken = f"more than {self._limits.text_nodes} values"
        if not self._stack:
            document.roots.append(value)
            document.expanded = min(_MOST, document.expanded + size)
            return
        parent = self._stack[-1]
        parent.size = min(_MOST, parent.size + size)
        if not isinstance(parent.node, Pairs):
            parent.node.append(value)
        elif parent.key is None:
            parent.key = value if isinstance(value, str) else _named(value)
            if not isinstance(value, str) and not isinstance(value, Alias):
                parent.node.append((parent.key, value))  # a key that is more than text is looked at too
        else:
            parent.node.append((parent.key, value))
            parent.key = None


def _named(key: object) -> str:
    """A key that is not text, as text."""
    while isinstance(key, Tagged):
        key = key.value
    if isinstance(key, Alias):
        return f"*{key.name}"
    return key if isinstance(key, str) else "?"
