"""The second pass: the exact stack and memo of one pickle, and with them every import and call.

It runs only on pickles that import or call something, and does for every opcode what CPython's C unpickler
does, with values that stand for objects (see `values`). The opcodes that make up the bulk of a pickle are
followed in one loop over local variables; the rest, a few in a hundred, in a function each.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from modelaudit.errors import ParseError
from modelaudit.parsers.pickle import arrays, torch_tar
from modelaudit.parsers.pickle.actions import ACTIONS, plants_setstate
from modelaudit.parsers.pickle.compute import plain
from modelaudit.parsers.pickle.memo import OPAQUE
from modelaudit.parsers.pickle.opcodes import BYTES, CODES, COUNT_BYTES, NAMES, SIZE
from modelaudit.parsers.pickle.reading import MARGIN_BYTES
from modelaudit.parsers.pickle.skim import LOOK_BYTES, step
from modelaudit.parsers.pickle.state import ITEMS_EACH, STACK_MOST, State
from modelaudit.parsers.pickle.values import Broken, Event, Global, Instance, Persistent, Value, WrongFrame

_STOP: Final = CODES["STOP"]

# What the hot loop does with an opcode; 0 leaves it to a function.
_LITERAL, _TEXT, _CALLED, _MAKE, _PUT = range(1, 6)
_HOT: Final = {
    "BININT BININT1 BININT2 BINFLOAT NEWTRUE NEWFALSE": _LITERAL,
    "SHORT_BINUNICODE SHORT_BINSTRING SHORT_BINBYTES LONG1": _TEXT,
    "BINPUT LONG_BINPUT": _PUT,
    "EMPTY_DICT EMPTY_LIST EMPTY_SET": _MAKE,
}
_MEMOIZE: Final = CODES["MEMOIZE"]
_MARK: Final = CODES["MARK"]
_TUPLE1: Final = CODES["TUPLE1"]
_SETITEM: Final = CODES["SETITEM"]
_BINGET: Final = CODES["BINGET"]
_BINPUT: Final = CODES["BINPUT"]
_UNICODE: Final = CODES["UNICODE"]
_LONG_BINPUT: Final = CODES["LONG_BINPUT"]
# What protocol 0 writes one by one: numbers that are appended to a list, and words, shorter than what is looked into,
# with their numbers in a dictionary.
_NUMBERS: Final = (b"F", b"I")
_APPENDED: Final = re.compile(rb"(?:[FI]-?\d[\d.e+-]{0,24}\na){1,1024}")
_ENTRY: Final = re.compile(rb"V[^\n]{0,%d}\np(\d{1,10})\nI-?\d{1,10}\ns" % (LOOK_BYTES - 2))
_WORDS_AT_ONCE: Final = 1024


def run(state: State) -> Iterator[Event]:
    """Follow the pickle at `state.offset` to its STOP or to where it breaks; then `state.outcome` says where.

    Events come in the order of the stream, window by window. Raises `Missing`.
    """
    size = state.blob.size
    while True:
        if state.offset + MARGIN_BYTES > state.window.end and not state.window.last:
            state.window.move(state.offset)
        _follow(state)
        if state.offset > size and isinstance(cut := state.stack.pop(), int):
            state.offset = cut  # a text that breaks off
        state.frames.passed(state.offset)
        if len(state.stack) > STACK_MOST:
            state.breaks(f"more than {STACK_MOST} values on the stack")
        if state.offset + MARGIN_BYTES > state.window.end and not state.window.last:
            continue  # the next opcode's length may lie across the edge: move the window before it is read
        if state.offset < state.window.end:
            _act(state, size)
        elif state.window.last:
            state.events.append(Broken(min(state.offset, size), "the data ends before STOP"))
            state.outcome.end = size
            state.offset = -1
        if state.frames.wrong is not None and not state.wrong_frame_told:
            state.wrong_frame_told = True
            state.events.append(WrongFrame(state.frames.wrong))
        if state.offset < 0:
            arrays.ended(state)
        if state.events:
            yield from state.events
            state.events.clear()
        if state.offset < 0:
            return


def _act(state: State, size: int) -> None:
    """Follow the one opcode at `state.offset`; at the end of the pickle the offset becomes -1."""
    op = state.window.data[state.offset - state.window.base]
    if op == _STOP:
        state.outcome.end, state.outcome.stopped = state.offset + 1, True
        state.frames.stop(state.offset + 1)
        if not state.stack:
            state.breaks("nothing on the stack")
        top = state.stack[-1] if state.stack else None
        state.outcome.raw_behind = torch_tar.kind(top)
        if state.items_each > ITEMS_EACH and isinstance(top, int) and top < 0:
            keys = (plain(state, key) for key in (state.items_of(top) or []))
            state.outcome.keys = tuple(key for key in keys if isinstance(key, str))
        state.offset = -1
        return
    after, argument, length = step(state.window, state.offset)
    action = ACTIONS.get(op)
    state.after = after
    if after < 0 or after > size or action is None:
        why = f"bad opcode or argument: byte {op:#04x}" if after <= size else "the data ends inside an argument"
        state.events.append(Broken(state.offset, why))
        state.frames.breaks(state.offset, op)
        state.outcome.end = state.offset
        state.offset = -1
        return
    try:
        action(state, argument, length)
    except (IndexError, ValueError) as error:
        state.breaks(str(error))
    except ParseError as error:
        state.breaks(error.message)
    if state.after == after:
        state.frames.passed(after)
    state.offset = state.after


def _follow(state: State) -> None:
    """Follow opcodes until one that is not hot, or until the window's last bytes; leaves `state.offset` there."""
    # The hot loop, commonest opcodes first: what stands in it and not in `_QUICK` would take twice as long there.
    data, base, size = state.window.data, state.window.base, state.blob.size
    # An opcode of fixed length is whole before this; the end of a frame is to be seen.
    safe = min(len(data) - 9, state.frames.end - base)
    stack, marks, memo, cells = state.stack, state.marks, state.memo, state.memo.cells
    push, remember, effects, sizes, quicks, dense = stack.append, cells.append, _EFFECT, SIZE, _QUICK, memo.dense
    binget, memoize, mark, opaque, watched = _BINGET, _MEMOIZE, _MARK, OPAQUE, state.shared.watched
    i = state.offset - base
    try:
        while i < safe:
            op = data[i]
            if op == binget:
                code = cells[data[i + 1]]
                if code <= opaque and watched:
                    break
                push(code if code > opaque else memo.value(code, data[i + 1]))
                i += 2
            elif op == memoize and dense:
                value = stack[-1]
                remember(value if type(value) is int else memo.code(value))
                i += 1
            elif op == mark:
                marks.append(len(stack))
                i += 1
            elif (effect := effects[op]) == _LITERAL:
                push(base + i)
                i += sizes[op]
            elif effect == _TEXT:
                n = data[i + 1]
                place = base + i
                push(place)
                if n >= LOOK_BYTES:
                    state.look(op, base + i + 2, min(n, size - base - i - 2))
                i += n + 2
                if dense and i < safe and data[i] == memoize:
                    remember(place)
                    i += 1
            elif effect == _CALLED:
                if (after := quicks[op](state, data, i, op)) < 0:
                    break
                i = after
            elif effect == _MAKE:
                push(~(base + i))
                i += 1
            elif (
                effect == _PUT
                and dense
                and len(cells) == (data[i + 1] if op == _BINPUT else int.from_bytes(data[i + 1 : i + 5], "little"))
            ):
                value = stack[-1]
                remember(value if type(value) is int else memo.code(value))
                i += sizes[op]
            else:
                break
    except (IndexError, ValueError):
        pass  # the same opcode fails again in its own function, which says why
    state.offset = base + i


# --- hot enough to be done without leaving the loop: the place after the opcode, or -1 to leave it after all ----


def _call(state: State, data: bytes, i: int, op: int) -> int:
    """A call whose arguments do not matter, of what was called before."""
    stack, marks = state.stack, state.marks
    func = stack[-2]
    if type(func) is not Global or type(stack[-1]) is not tuple:
        return -1
    args = stack[-1]
    if not func.repeats or (marks and len(stack) - 2 < marks[-1]):
        return -1
    if args and type(args[0]) is Persistent:  # a tensor, of which more is to be known
        return -1
    func.called += 1
    del stack[-1]
    stack[-1] = func.instance
    state.calls.wait -= 1
    return i + 1 if state.calls.wait > 0 else state.calls.passed(state, data, i + 1)


def _fill(state: State, data: bytes, i: int, op: int) -> int:
    """BUILD of an instance whose class does nothing out of the ordinary with its state."""
    stack, marks = state.stack, state.marks
    target, value = stack[-2], stack[-1]
    if type(target) is not Instance or target.of.executes or target.of.wraps:
        return -1
    if (marks and len(stack) - 1 <= marks[-1]) or plants_setstate(state, value):
        return -1
    del stack[-1]
    state.builds.wait -= 1
    return i + 1 if state.builds.wait > 0 else state.builds.passed(state, data, i + 1)


def _none(state: State, data: bytes, i: int, op: int) -> int:
    state.stack.append(None)
    return i + 1


def _long_get(state: State, data: bytes, i: int, op: int) -> int:
    index = int.from_bytes(data[i + 1 : i + 5], "little")
    code = state.memo.cells[index]
    if code <= OPAQUE and state.shared.watched:
        return -1
    state.stack.append(code if code > OPAQUE else state.memo.value(code, index))
    return i + 5


def _items(state: State, data: bytes, i: int, op: int) -> int:
    marks, stack = state.marks, state.stack
    mark = marks[-1]
    target = stack[mark - 1]
    if type(target) is not int or target >= 0 or mark <= (marks[-2] if len(marks) > 1 else 0):
        return -1
    if mark < len(stack):
        state.fill(target, stack[mark:])
        del stack[mark:]
    state.marks.pop()
    return i + 1


def _item(state: State, data: bytes, i: int, op: int) -> int:
    count, stack = 2 if op == _SETITEM else 1, state.stack
    target = stack[-1 - count]
    if type(target) is not int or target >= 0 or len(stack) - count <= (state.marks[-1] if state.marks else 0):
        return -1
    state.fill(target, stack[-count:])
    del stack[-count:]
    i += 1
    if count == 1 and data.startswith(_NUMBERS, i):
        window = state.window
        if run := _APPENDED.match(data, i, max(0, min(len(data) - 9, state.frames.end - window.base))):
            places: list[Value] = []
            while i < run.end():
                places.append(window.base + i)
                i = data.index(b"\n", i) + 2
            state.fill(target, places)
    return i


def _tuple(state: State, data: bytes, i: int, op: int) -> int:
    mark, stack = state.marks.pop(), state.stack
    values = tuple(stack[mark:])
    del stack[mark:]
    stack.append(values)
    return i + 1


def _short_tuple(state: State, data: bytes, i: int, op: int) -> int:
    count, stack = op - _TUPLE1 + 1, state.stack
    if len(stack) - count < (state.marks[-1] if state.marks else 0):
        return -1
    values = tuple(stack[-count:])
    del stack[-count:]
    stack.append(values)
    return i + 1


def _long_text(state: State, data: bytes, i: int, op: int) -> int:
    """Texts in a row, as in a vocabulary: with what puts each into the memo, and the number that may follow it."""
    stack, cells, dense, base = state.stack, state.memo.cells, state.memo.dense, state.window.base
    width, looked_into, end = 1 + COUNT_BYTES[op], LOOK_BYTES - 12 * (op in BYTES), state.blob.size - base
    safe, first = min(len(data) - 9, state.frames.end - base), i
    while True:
        start = i + width
        after = start + int.from_bytes(data[i + 1 : start], "little")
        if after > end:
            return i if i > first else -1
        stack.append(base + i)
        if after - start >= looked_into:
            state.look(op, base + start, after - start)
        if after >= safe:
            return after
        if (
            data[after] == _LONG_BINPUT
            and dense
            and int.from_bytes(data[after + 1 : after + 5], "little") == len(cells)
        ):
            cells.append(base + i)
            after += 5
        if after < safe and _EFFECT[data[after]] == _LITERAL:
            stack.append(base + after)
            after += SIZE[data[after]]
        if after >= safe or data[after] != op:
            return after
        i = after


def _line(state: State, data: bytes, i: int, op: int) -> int:
    if op == _UNICODE and (after := _words(state, data, i)) > i:
        return after
    end = data.find(b"\n", i) + 1
    if end <= 0 or end - i > LOOK_BYTES:
        return -1
    state.stack.append(state.window.base + i)
    return end


def _words(state: State, data: bytes, i: int) -> int:
    """Entries of a vocabulary as protocol 0 writes them: a word, the memo, a number, SETITEM."""
    stack, cells, base = state.stack, state.memo.cells, state.window.base
    target = stack[-1] if len(stack) > (state.marks[-1] if state.marks else 0) else None
    if type(target) is not int or target >= 0 or not state.memo.dense:
        return i
    safe = max(0, min(len(data) - 9, state.frames.end - base))
    found: list[Value] = []
    while (entry := _ENTRY.match(data, i, safe)) and len(found) < _WORDS_AT_ONCE and int(entry[1]) == len(cells):
        cells.append(base + i)
        found += (base + i, base + entry.end(1) + 1)
        i = entry.end()
    if found:
        state.fill(target, found)
    return i


def _put_line(state: State, data: bytes, i: int, op: int) -> int:
    end, memo, value = data.find(b"\n", i), state.memo, state.stack[-1]
    if not memo.dense or not 0 < end < i + 24 or int(data[i + 1 : end]) != len(memo.cells):
        return -1
    memo.cells.append(value if type(value) is int else memo.code(value))
    return end + 1


def _get_line(state: State, data: bytes, i: int, op: int) -> int:
    end = data.find(b"\n", i)
    if not 0 < end < i + 24:
        return -1
    index = int(data[i + 1 : end])
    if index < 0 or state.shared.watched:
        return -1
    state.stack.append(state.memo.value(state.memo.cells[index], index))
    return end + 1


_QUICK_BY_NAME: Final[dict[str, Callable[[State, bytes, int, int], int]]] = {
    "REDUCE NEWOBJ": _call,
    "NONE": _none,
    "LONG_BINGET": _long_get,
    "BUILD": _fill,
    "SETITEMS APPENDS ADDITEMS": _items,
    "SETITEM APPEND": _item,
    "TUPLE": _tuple,
    "TUPLE1 TUPLE2 TUPLE3": _short_tuple,
    "BINUNICODE BINUNICODE8 BINBYTES BINBYTES8 BYTEARRAY8": _long_text,
    "INT FLOAT LONG UNICODE STRING": _line,
    "PUT": _put_line,
    "GET": _get_line,
}
_QUICK: Final = {CODES[name]: quick for names, quick in _QUICK_BY_NAME.items() for name in names.split()}
_BY_NAME: Final = {name: effect for names, effect in _HOT.items() for name in names.split()} | {
    NAMES[op]: _CALLED for op in _QUICK
}
_EFFECT: Final = tuple(_BY_NAME.get(NAMES.get(op, ""), 0) for op in range(256))
