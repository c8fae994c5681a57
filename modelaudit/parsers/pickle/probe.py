"""Whether bytes are a pickle: the first opcodes with the depth of the stack, no values.

Text fails within a few characters: its letters are opcodes with arguments that are not numbers or names, or they
take from a stack that is empty.
"""

import re
import sys
from typing import Final

import msgspec

from modelaudit.blob import Blob
from modelaudit.parsers.pickle.framed import FRAME, from_file
from modelaudit.parsers.pickle.opcodes import CODES, COUNT_BYTES, LINES, NAMES, SIGNED_COUNT, SIZE
from modelaudit.parsers.pickle.reading import Window

# A persistent id is a line of ASCII, and a short one; the heads of zips and other binaries that begin with P are none.
_PERSISTENT: Final = re.compile(rb"P[\x20-\x7e]*\r?\n")
PROBE_BYTES: Final = 1 << 16  # enough to leave no room for harmless opcodes before the first import
_FIRST_BYTES: Final = 512
_FILLED: Final = 1024  # values on a stack of which nothing is known
_LASTING: Final = 12  # opcodes after which a stream without header is believed that goes on and on
_LINE_BYTES: Final = 1 << 22  # a line that is looked into; longer ones are only texts
_AHEAD: Final = 16  # pickles after a tiny one that are looked at before it is believed
_AHEAD_WITHIN: Final = 3  # the same behind a pickle that is believed
_PIECES: Final = 16  # read one after the other; a pickle of large strings jumps over most of its bytes
_CONVINCING: Final = 128  # opcodes of a stream without header that need no more
_CONVINCING_PUTS: Final = 4  # of them into the memo
_SURE: Final = 6  # opcodes after which a stream with a protocol header is believed
_AFTER_IMPORT: Final = 3  # opcodes that must follow an import outside the standard library

# Lines as picklers write them; they pass every check below.
_USUAL: Final = re.compile(rb"F-?\d{1,20}\.\d{1,20}(?:e[+-]\d{1,3})?\n|I-?\d{1,20}\n|[pg]\d{1,20}\n|V[^\n]*\n")
_IDENTIFIER: Final = re.compile(rb"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_STORAGE: Final = re.compile(rb"[A-Z]\w*Storage")
_DECIMAL: Final = re.compile(rb"\s*[+-]?\d[\d_]*\s*")
_NUMBER: Final = re.compile(rb"\s*(?:[+-]\s*)?(?:0[xX][\da-fA-F_]+|0[bBoO]?[0-7_]*|\d[\d_]*)\s*L?\s*")
_QUOTED: Final = re.compile(rb"(['\"]).*\1\s*", re.S)
_PYTHON2: Final = frozenset({"__builtin__", "commands", "urllib2", "popen2", "exceptions", "copy_reg", "cPickle"})

# What an opcode takes from the stack and puts there; those with a mark and the rest are in `_Stack.follow`.
_TAKES: Final = {
    "POP": 1, "REDUCE": 2, "APPEND": 1, "BUILD": 1, "SETITEM": 2, "NEWOBJ": 2, "NEWOBJ_EX": 3, "STACK_GLOBAL": 2,
    "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "BINPERSID": 1,
}  # fmt: skip
_NEEDS: Final = {"APPEND": 2, "BUILD": 2, "SETITEM": 3, "DUP": 1, "MEMOIZE": 1, "PUT": 1, "BINPUT": 1, "LONG_BINPUT": 1}
_TO_MARK: Final = {
    "POP_MARK": 0, "APPENDS": 0, "SETITEMS": 0, "ADDITEMS": 0, "DICT": 1, "LIST": 1, "TUPLE": 1, "OBJ": 1, "INST": 1,
    "FROZENSET": 1,
}  # fmt: skip
_CALLS: Final = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BUILD"})
_SILENT: Final = frozenset({"PROTO", "FRAME", "POP", "APPEND", "BUILD", "SETITEM", "READONLY_BUFFER"})
_NUMERIC: Final = frozenset({"INT", "LONG", "FLOAT", "GET", "PUT"})
_SHORT_TEXT: Final = {CODES["UNICODE"]: b"V\n", CODES["STRING"]: b"S''\n"}
_PUTS: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})


class Probe(msgspec.Struct):
    """What the first opcodes are. `end` is the offset after STOP when `stopped`."""

    opcodes: int = 0
    imports: int = 0
    calls: int = 0
    puts: int = 0
    stdlib: bool = False
    after_import: int = 0
    stopped: bool = False
    end: int = 0

    @property
    def convinces(self) -> bool:
        """So many opcodes kept to the rules of the stack and the memo that no text or number does so by chance."""
        return self.opcodes >= _CONVINCING and self.puts >= _CONVINCING_PUTS

    @property
    def acts(self) -> bool:
        """The stream imports something and calls it, or stops after it: nothing but a pickle does."""
        return self.imports > 0 and (self.calls > 0 or self.stopped)


class _Rule:
    """What one opcode does: `least` values must lie above the mark, and their number changes by `change`.

    `plain`: it does no more than that to the stack: no mark, no list of unknown length. `noted`: it is counted, or
    imports, or gives a name that an import may take (`text`).
    """

    __slots__ = ("call", "change", "least", "name", "noted", "plain", "put", "text")

    def __init__(self, name: str) -> None:
        takes = _TAKES.get(name, 0)
        self.name = name
        self.least = max(takes, _NEEDS.get(name, 0))
        self.change = (name not in _SILENT and name not in _PUTS) - takes
        self.plain = name not in _TO_MARK and name not in ("MARK", "POP")
        self.put = name in _PUTS
        self.call = name in _CALLS
        self.text = name in ("GLOBAL", "INST", "STACK_GLOBAL") or name.endswith(("UNICODE", "STRING"))
        self.noted = self.put or self.call or self.text


_RULES: Final = tuple(_Rule(NAMES[op]) if op in NAMES else None for op in range(256))
_STOP: Final = CODES["STOP"]
_PROTO: Final = CODES["PROTO"]
_INST: Final = CODES["INST"]


class _Stack:
    __slots__ = ("depth", "marks")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.marks: list[int] = []

    def follow(self, rule: _Rule) -> bool:
        """Do what an opcode that is not `plain` does to the depth; False when the stack lacks what it takes."""
        floor = self.marks[-1] if self.marks else 0
        name = rule.name
        if name == "POP" and not (self.marks and self.depth == floor):
            if self.depth - floor < rule.least:
                return False
            self.depth += rule.change
            return True
        if name == "MARK":
            self.marks.append(self.depth)
            return True
        if not self.marks:
            return False
        held = self.depth - floor
        self.depth = self.marks.pop() + _TO_MARK.get(name, 0)  # a POP here takes the mark
        if name in ("POP", "POP_MARK"):
            return True
        return not (name == "OBJ" and held == 0) and (_TO_MARK[name] == 1 or self.depth > 0)


class Probing:
    """A probe that goes on over several pieces of the same stream. `way` gains the places of the opcodes.

    `until_sure`: it ends as soon as the stream is a pickle for certain; with a protocol `headed` that is soon.
    """

    def __init__(
        self, depth: int, until_sure: bool = False, way: list[int] | None = None, headed: bool = False
    ) -> None:
        self.found = Probe()
        self._way = way
        self._until_sure = until_sure
        self._headed = headed
        self.stack = _Stack(depth)
        self._names: list[bytes] = []

    def over(self, head: bytes) -> int:
        """Follow the opcodes of `head`; gives where the next one begins, in bytes from its start.

        That may be beyond its end, behind a large argument, or before it, at an opcode that is not all there.
        -1 when the pickle stopped or broke.
        """
        found, stack, i, rules, sizes = self.found, self.stack, 0, _RULES, SIZE
        way, until_sure, headed, size = self._way, self._until_sure, self._headed, len(head)
        floor = stack.marks[-1] if stack.marks else 0
        while i < size:
            op = head[i]
            rule = rules[op]
            if op == _STOP:
                found.stopped, found.end = stack.depth > 0, i + 1
                return -1
            if rule is None:
                return -1
            after = i + sizes[op] if sizes[op] and op != _PROTO else _argument(head, i, op)
            if after == 0:
                return -1
            if after > size and (not COUNT_BYTES[op] or size - i <= COUNT_BYTES[op]):
                return i
            if rule.plain:
                if stack.depth - floor < rule.least:
                    return -1
                stack.depth += rule.change
            elif stack.follow(rule):
                floor = stack.marks[-1] if stack.marks else 0
            else:
                return -1
            if way is not None:
                way.append(i)
            found.opcodes += 1
            if found.imports:
                found.after_import += 1
            if rule.noted:
                found.puts += rule.put
                found.calls += rule.call and (found.imports > 0 or rule.name == "INST")
                if rule.text and not _import(head[i : min(after, i + 1024)], rule.name, self._names, found):
                    return -1
            i = after
            if until_sure and (headed or found.imports or found.opcodes >= _CONVINCING) and self._is_sure():
                return -1
        return i

    def _is_sure(self) -> bool:
        found = self.found
        if self._headed and (found.imports or found.opcodes >= _SURE):
            return True
        return (found.imports > 0 and _imports_for_sure(found)) or found.convinces


def probe(head: bytes, depth: int = 0) -> Probe:
    """Follow the opcodes of `head` until STOP, an opcode that breaks, or its end; `depth` values are there before."""
    probing = Probing(depth)
    probing.over(head)
    return probing.found


def may_act(head: bytes) -> bool:
    """Whether opcodes that begin with `head`, on a stack with all that they could take, act or go on beyond it."""
    probing = Probing(_FILLED)
    probing.stack.marks = list(range(0, _FILLED, _FILLED // 64))
    return probing.over(head) >= 0 or probing.found.acts


def _import(opcode: bytes, name: str, names: list[bytes], found: Probe) -> bool:
    """Count an import; False when its names cannot be any. `opcode` is it with its argument, `names` the last texts."""
    if name in ("GLOBAL", "INST"):
        module, _, attribute = opcode[1:-1].partition(b"\n")
        names[:] = (module.removesuffix(b"\r"), attribute.removesuffix(b"\r"))
        storage = _STORAGE.fullmatch(names[1]) is not None  # torch takes such a name from any module, without an import
        if not storage and not all(_IDENTIFIER.fullmatch(text) for text in names):
            return False
    elif name.endswith(("UNICODE", "STRING")):
        names.append(opcode[1 + COUNT_BYTES[opcode[0]] :][:200])
        del names[:-2]
        return True
    found.imports += 1
    root = names[0].partition(b".")[0].decode("latin-1") if names else ""
    found.stdlib = found.stdlib or root in sys.stdlib_module_names or root in _PYTHON2
    return True


def _argument(head: bytes, i: int, op: int) -> int:
    """The place after the opcode's argument; 0 when that is wrong; beyond the end when it is not all there."""
    if SIZE[op]:
        if op == CODES["PROTO"] and i + 1 < len(head) and head[i + 1] > 5:
            return 0
        return i + SIZE[op]
    width = COUNT_BYTES[op]
    if width:
        count = int.from_bytes(head[i + 1 : i + 1 + width], "little", signed=op in SIGNED_COUNT)
        return i + 1 + width + count if count >= 0 else 0
    if usual := _USUAL.match(head, i):
        return usual.end()
    place = i + 1
    for _ in range(LINES[op]):
        end = head.find(b"\n", place)
        if end < 0:
            return len(head) + 1
        place = end + 1
    return place if _line_is_sane(NAMES[op], head[i + 1 : place - 1]) else 0


def _line_is_sane(name: str, line: bytes) -> bool:
    if name == "INT" and line[:1] == b"\0":
        return True  # for C no digits are 0
    if name in _NUMERIC:
        line = line.partition(b"\0")[0]  # where C ends the text of a number
    if name in ("INT", "LONG"):
        return _NUMBER.fullmatch(line) is not None
    if name in ("GET", "PUT"):
        return _DECIMAL.fullmatch(line) is not None
    if name == "FLOAT":
        return _is_float(line)
    if name == "STRING":
        return _QUOTED.fullmatch(line) is not None
    return True


def _is_float(line: bytes) -> bool:
    try:
        float(line)
    except ValueError:
        return False
    return True


def is_pickle(blob: Blob, within: bool = False) -> bool:
    """Whether the blob is a pickle, as a loader would at least begin to read it. `within`: it follows one.

    Reads little, and more only while it goes on being one. Raises `Missing`.
    """
    head = bytes(blob.view(0, _FIRST_BYTES))
    if not head or head[0] not in NAMES or (head[0] == CODES["PERSID"] and _PERSISTENT.match(head) is None):
        return False
    return _reads_as_pickle(blob, head, within) or _runs_otherwise(blob, head)


def _runs_otherwise(blob: Blob, head: bytes) -> bool:
    """Whether it is a pickle for some loaders only: by frames that cut opcodes, or by a last line that does not end."""
    if FRAME in head:
        here = bytes(blob.view(0, PROBE_BYTES, len(head)))
        if any(_imports_for_sure(probe(run)) for run in from_file(here)):
            return True
    if _INST not in head or len(head) < blob.size or head[-1:] == b"\n":
        return False
    found = probe(head[:-1] + b"\n")
    return found.imports > 0 and found.calls > 0


def _reads_as_pickle(blob: Blob, head: bytes, within: bool) -> bool:
    headed = head[0] == 0x80 and len(head) > 1 and head[1] <= 5
    probing = Probing(0, until_sure=True, headed=headed)
    found = probing.found
    place = _follow(blob, probing, head)
    going_on = 0 < place < blob.size and found.opcodes >= _LASTING
    if headed:
        return found.opcodes >= _SURE or found.stopped or found.imports > 0 or (place > 0 and found.opcodes > 1)
    if _imports_for_sure(found) or found.convinces:
        return True
    if found.stopped:
        here = bytes(blob.view(0, PROBE_BYTES, len(head)))
        ahead = _AHEAD_WITHIN if within else _AHEAD
        return found.puts > 0 or found.opcodes >= _SURE or _ends_well(blob, here, found.end, ahead)
    return going_on or (place > 0 and found.puts > 0 and found.opcodes >= _SURE)


def _imports_for_sure(found: Probe) -> bool:
    if not found.imports:
        return False
    return found.calls > 0 or found.stopped or found.stdlib or found.after_import >= _AFTER_IMPORT


def _follow(blob: Blob, probing: Probing, head: bytes) -> int:
    """Go over the beginning of the blob; gives the place reached, -1 when the pickle stopped or broke before.

    The blob's size when it ended first.
    """
    place = 0
    for _ in range(_PIECES):
        step = probing.over(head)
        if step < 0:
            return -1
        place += step
        if place >= blob.size or (place >= PROBE_BYTES and probing.found.opcodes >= _LASTING):
            break
        if step == 0 and len(head) >= _LINE_BYTES and (end := _long_text(blob, head, place)):
            probing.over(_SHORT_TEXT[head[0]])
            place, head = end, b""
        elif step == 0 and (len(head) >= _LINE_BYTES or place + len(head) >= blob.size):
            return blob.size  # an opcode that is not all there, or a line that does not end
        length = _LINE_BYTES if step == 0 and len(head) >= PROBE_BYTES else PROBE_BYTES
        head = bytes(blob.view(place, length, _FIRST_BYTES if length == PROBE_BYTES else length))
    return min(place, blob.size)


def _long_text(blob: Blob, head: bytes, place: int) -> int:
    """Where the line at `place`, a text of many mebibytes that begins with `head`, ends; 0 when it is none."""
    if head[0] not in _SHORT_TEXT or (head[0] == CODES["STRING"] and head[1:2] not in (b"'", b'"')):
        return 0
    return max(0, Window(blob, place).line_end(place))


def _ends_well(blob: Blob, head: bytes, end: int, ahead: int) -> bool:
    """Whether after the STOP of a tiny pickle without header come blanks or more pickles, not the rest of a text."""
    for _ in range(ahead):
        rest = head[end:].lstrip(b"\0\r\n ")
        if not rest:
            return len(head) == blob.size
        end = len(head) - len(rest)
        if rest[0] == 0x80 and len(rest) > 1 and rest[1] <= 5:
            return True
        found = probe(rest)
        if found.imports or not found.stopped:
            return found.imports > 0
        end += found.end
    return True
