"""The symbolic unpickler's state: what an opcode finds and what it leaves."""

from array import array
from collections.abc import Callable
from typing import Final

from modelaudit.blob import Blob
from modelaudit.errors import ParseError
from modelaudit.parsers.pickle.memo import Kept, Memo
from modelaudit.parsers.pickle.opcodes import NAMES
from modelaudit.parsers.pickle.reading import Window
from modelaudit.parsers.pickle.repeats import Repeats
from modelaudit.parsers.pickle.skim import Frames, Look
from modelaudit.parsers.pickle.values import Broken, Computed, Event, Global, Instance, Named, Outcome, Unknown, Value

Role = Callable[[str, str], str | None]

STACK_MOST: Final = 1 << 24  # values at once; a pickler leaves a few thousand, memory for these is below 700 MB
ITEMS_MOST: Final = 1 << 15  # items of containers in each of two generations; the older one is forgotten
ITEMS_EACH: Final = 4096  # of one container
COMPUTED_MOST: Final = 100  # computed names told of one by one
_WRAPPER: Final = "NumpyArrayWrapper"
LITERALS_LOST: Final = 64  # literals that a broken stream may still take from below its stack


class State:
    """Stack, memo, tables and place of one pickle; globals and extensions live on for the whole stream.

    `offset` is that of the opcode being followed, `after` where the next one begins: a handler may move it
    over raw data that the loader of the stream reads itself.
    """

    def __init__(
        self, blob: Blob, start: int, role_of: Role, look: Look, shared: "Shared", memo: Memo | None = None
    ) -> None:
        self.blob = blob
        self.window = Window(blob, start)
        self.offset = start
        self.after = start
        self.role_of = role_of
        self.look = look
        self.shared = shared
        self.stack: list[Value] = []
        self.marks = array("q")
        self.memo = memo or Memo(shared.kept)
        self.items: dict[int, list[Value]] = {}
        self.old_items: dict[int, list[Value]] = {}
        self.items_kept = 0
        self.lost_before = 0  # containers made before this offset may have had items that are forgotten
        self.items_each = ITEMS_EACH
        self.events: list[Event] = []
        self.outcome = Outcome(start)
        self.frames = Frames()
        self.wrong_frame_told = False
        self.broken = False
        self.computed = 0
        self.calls = Repeats()
        self.builds = Repeats()
        self.raw_arrays = True  # joblib's unpickler may be the reader
        self.wrappers = 0  # made, and not given their state yet, see `arrays`

    def otherwise(self, start: int, look: Look) -> "State":
        """What a loader that is not joblib's has here, and goes on with at `start`."""
        other = State(self.blob, start, self.role_of, look, self.shared, self.memo.copy())
        other.stack, other.marks, other.broken = list(self.stack), self.marks[:], self.broken
        other.items = {container: list(items) for container, items in (self.old_items | self.items).items()}
        other.items_kept, other.lost_before = self.items_kept, self.lost_before
        other.raw_arrays = False
        return other

    # --- stack --------------------------------------------------------------------------------------------

    def pop(self) -> Value:
        """Take the top value. Raises `IndexError` when there is none above the last mark."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise IndexError("stack underflow below a mark")
        return self.stack.pop()

    def top(self) -> Value:
        """The top value, which stays. Raises `IndexError` when there is none above the last mark."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise IndexError("stack underflow below a mark")
        return self.stack[-1]

    def pop_mark(self) -> list[Value]:
        """Take the last mark and what is above it. Raises `IndexError` when there is no mark."""
        mark = self.marks.pop()
        above = self.stack[mark:]
        del self.stack[mark:]
        return above

    def fill(self, container: int, values: list[Value]) -> None:
        """Remember `values`, a list to keep, as items of the container; forget the oldest when there are too many."""
        if self.items_kept >= ITEMS_MOST:
            self.lost_before = self.offset if self.old_items else self.lost_before
            self.old_items, self.items, self.items_kept = self.items, {}, 0
        items = self.items.get(container)
        if items is None and ~container >= self.lost_before and container not in self.old_items:
            self.items[container] = values
            self.items_kept += len(values) + 1
            return
        if items is None:
            lost: list[Value] = [Unknown(), Unknown()] if ~container < self.lost_before else []
            items = self.items[container] = self.old_items.pop(container, lost)
        if len(items) < self.items_each:
            items += values
        self.items_kept += len(values) + 1

    def items_of(self, container: int) -> list[Value] | None:
        """The items of a container, keys and values in turn for a dict; None when they are not known."""
        items = self.items.get(container)
        if items is None:
            items = self.old_items.get(container)
        return None if items is None or len(items) >= self.items_each else items

    # --- names --------------------------------------------------------------------------------------------

    def name(self, module: str, name: str, opcode: str, via: str = "") -> Global:
        """The global of that name, told of when it is met first."""
        found = self.shared.globals.get((module, name))
        if found is None:
            shared, role = self.shared, self.role_of(module, name)
            found = Global(module, name, self.offset, opcode, role, via, shared.executes(module, name) or "")
            found.wraps = name.endswith(_WRAPPER) and _wraps(found.path.split("."))
            shared.globals[module, name] = found
            shared.executing = shared.executing or bool(found.executes)
            shared.watched = shared.watched or role == "literal"
        found.named += 1
        if found.named == 1:
            self.events.append(Named(found, self.offset, opcode))
        return found

    def instance(self, what: Global) -> Instance:
        """What a call of `what` gives, where its arguments do not matter."""
        if what.instance is None:
            what.instance = Instance(what)
        return what.instance

    # --- telling ------------------------------------------------------------------------------------------

    def breaks(self, why: str) -> None:
        """A loader stops here. From now on the stack is made up, and only what is certain is told."""
        if not self.broken:
            op = self.window.data[self.offset - self.window.base :][:1]
            name = NAMES.get(op[0], "") if op else ""
            self.events.append(Broken(self.offset, f"{name}: {why}" if name else why))
            self.wrappers = self.astray()
        self.broken = True
        del self.marks[:]
        self.stack[:] = [None] * LITERALS_LOST

    def astray(self) -> int:
        """How many of joblib's wrappers were made, are not on the stack, and were not given their state."""
        if self.wrappers <= 0:
            return 0
        return self.wrappers - sum(isinstance(value, Instance) and value.of.wraps for value in self.stack)

    def unknown(self, shown: str, called: bool = False) -> Unknown:
        """Tell of a name or callable that cannot be known, and give the value that stands for it."""
        self.computed += 1
        if not self.broken and self.computed <= COMPUTED_MOST:
            opcode = NAMES.get(self.window.data[self.offset - self.window.base], "")
            self.events.append(Computed(self.offset, opcode, shown, called))
        return Unknown()

    def line(self, offset: int, cut: bool = False) -> tuple[str, int]:
        """The text argument at `offset` and where the next begins; `cut`: the blob may end it. Raises `ParseError`."""
        end = self.window.line_end(offset, cut)
        if not 0 <= end - offset <= 1 << 16:
            raise ParseError("a name without end", offset)
        return (bytes(self.blob.view(offset, end - offset - 1)).decode("utf-8", "surrogateescape"), end)


def _wraps(path: list[str]) -> bool:
    return path[-1] == _WRAPPER and ("joblib" in path or "numpy_pickle" in path)


def _nothing(module: str, name: str) -> None:
    """No class executes its state."""


class Shared:
    """What outlives one pickle of a stream: globals that were named, extension codes, objects that memos hold.

    `executes` names the key of a class's state whose text it executes. `executing`: such a class was named.
    `watched`: a global was named of which each use counts, those that come out of the memo too.
    """

    def __init__(self, executes: Role = _nothing) -> None:
        self.executes = executes
        self.executing = False
        self.watched = False
        self.plain_keys: set[Value] = set()  # literals that were read as keys of a state, and are harmless there
        self.globals: dict[tuple[str, str], Global] = {}
        self.extensions: dict[int, Global] = {}
        self.kept: Kept = []
        self.array = Instance(Global("numpy", "ndarray", 0, ""))  # what joblib's unpickler puts in a wrapper's place
