"""The two passes over a pickle against CPython's own: opcode boundaries, imports, truncation, hostile sizes."""

import collections
import datetime
import decimal
import fractions
import functools
import io
import operator
import pathlib
import pickle
import pickletools
import random
import uuid
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.errors import Missing
from modelaudit.parsers.pickle import Walk, is_pickle
from modelaudit.parsers.pickle.opcodes import ACTIVE, NAMES
from modelaudit.parsers.pickle.reading import Window
from modelaudit.parsers.pickle.skim import skim, step
from modelaudit.parsers.pickle.values import Broken, Computed, Named, Nested, WrongFrame
from modelaudit.parsers.pickle.walk import Ended, Gap, Item
from tests.samples import assembler as asm

ROLES = {
    ("builtins", "getattr"): "getattr",
    ("operator", "attrgetter"): "getattr",
    ("builtins", "__import__"): "import",
    ("importlib", "import_module"): "import",
    ("pkgutil", "resolve_name"): "resolve",
    ("functools", "partial"): "partial",
    ("functools", "reduce"): "apply",
    ("builtins", "map"): "apply",
    ("builtins", "exec"): "exec",
    ("base64", "b64decode"): "decode",
    ("zlib", "decompress"): "decode",
    ("pickle", "loads"): "loads",
}


def role(module: str, name: str) -> str | None:
    """A stand-in for the catalogue: only what these tests follow."""
    return ROLES.get((module, name))


def walk(data: bytes) -> list[Item]:
    return list(Walk(BytesBlob(data), role, 6).items())


def named(data: bytes) -> set[tuple[str, str]]:
    return {(item.what.module, item.what.name) for item in walk(data) if isinstance(item, Named)}


def whole(data: bytes) -> bool:
    """Every item of the walk says that the pickle is whole and alone."""
    items = walk(data)
    odd = [item for item in items if isinstance(item, Broken | Gap | WrongFrame | Computed)]
    return not odd and isinstance(items[-1], Ended) and items[-1].end == len(data) and items[-1].whole


# --- benign objects -----------------------------------------------------------------------------------------

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(1 << 70), max_value=1 << 70)
    | st.floats(allow_nan=False)
    | st.text()
    | st.text(min_size=20, max_size=300)
    | st.binary()
    | st.binary(min_size=200, max_size=300)
    | st.builds(bytearray, st.binary())
    | st.datetimes()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
    | st.just(len)
    | st.just(collections.OrderedDict)
    | st.builds(np.float32, st.floats(width=32, allow_nan=False))
    | st.builds(np.array, st.lists(st.floats(allow_nan=False)))
)
keys = st.text() | st.integers() | st.none() | st.binary()
objects = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=6)
        | st.builds(collections.OrderedDict, st.dictionaries(keys, inner, max_size=3))
        | st.builds(collections.deque, st.lists(inner, max_size=3))
        | st.frozensets(keys)
        | st.sets(keys)
        | inner.map(lambda value: [value, value])
    ),
    max_leaves=25,
)


class Recording(pickle.Unpickler):
    """CPython's unpickler, writing down what it imports; only ever given pickles of objects made here."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.found: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> object:
        self.found.add((module, name))
        return super().find_class(module, name)


@given(objects, st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_the_skim_steps_over_the_same_opcodes_as_pickletools(value: object, protocol: int) -> None:
    """Step by step and in runs, the first pass ends opcodes where CPython ends them."""
    data = pickle.dumps(value, protocol)
    places = [place for _, _, place in pickletools.genops(data) if place is not None]
    window, offset, mine = Window(BytesBlob(data), 0), 0, []
    while offset < len(data):
        mine.append(offset)
        offset = step(window, offset)[0]
    assert mine == places
    active = [place for place in places if data[place] in ACTIVE]
    skimmed = skim(BytesBlob(data), 0, lambda op, offset, length: None)
    assert skimmed.frame is None
    if active:
        assert (skimmed.active, skimmed.end) == (True, active[0])
    else:
        assert (skimmed.stopped, skimmed.end) == (True, len(data))


@given(objects, st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_the_machine_names_what_the_unpickler_imports(value: object, protocol: int) -> None:
    """No import is missed and none is made up, and the pickle is seen to be whole."""
    data = pickle.dumps(value, protocol)
    recording = Recording(data)
    recording.load()
    # Old names are told of by their new ones, as `fix_imports` reads them.
    expected = {
        NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name)) for module, name in recording.found
    }
    assert named(data) == expected
    assert whole(data)
    assert is_pickle(BytesBlob(data))


@pytest.mark.parametrize("protocol", range(6))
def test_long_pickles_cross_windows_and_frames(protocol: int) -> None:
    """Several windows and frames of numbers, long and short strings and memo traffic, with a global at the end."""
    numbers = random.Random(7)
    rows = [{"n": numbers.randrange(1 << 40), "s": "x" * numbers.randrange(90), "f": 0.5} for _ in range(20_000)]
    plain = pickle.dumps(rows, protocol)
    assert len(plain) > 1 << 20
    assert whole(plain)
    acting = pickle.dumps([decimal.Decimal(1), rows, fractions.Fraction(1, 3)], protocol)
    assert whole(acting)
    assert {module for module, _ in named(acting)} >= {"decimal", "fractions"}


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_large_array_is_jumped_over_unread(protocol: int) -> None:
    """Of 8 MiB of array bytes in a remote pickle only the surroundings are asked for."""
    data = pickle.dumps({"weights": np.zeros(1 << 20)}, protocol)
    if protocol == 2:  # protocol 2 has no bytes: the array is text and is a literal all the same
        assert whole(data)
        return
    extents: list[tuple[int, int]] = [(0, 1 << 16)]
    for _ in range(20):
        blob = RootBlob(data, len(data), sorted(extents))
        try:
            items = list(Walk(blob, role, 6).items())
        except Missing as missing:
            extents += [(offset, max(length, 4096)) for offset, length in missing.ranges]
            continue
        assert isinstance(items[-1], Ended)
        assert sum(length for _, length in extents) < len(data) // 20
        return
    pytest.fail("the walk did not end")


# --- breaking -----------------------------------------------------------------------------------------------


class Echo:
    """Pickles as a harmless stand-in for an attack; never loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("sample",))


def broken_samples() -> Iterator[bytes]:
    for protocol in range(6):
        value = {"a": [Echo(), 1.5, "text" * 20, b"bytes" * 20], "b": np.arange(5), "c": (None, {1, 2})}
        yield pickle.dumps(value, protocol)


@pytest.mark.parametrize("data", list(broken_samples()), ids=lambda data: f"{len(data)}-bytes")
def test_truncation_keeps_what_was_found(data: bytes) -> None:
    """Cut anywhere: no exception, the end is told of, and an import that stands before the cut is still found."""
    full = {(item.offset, item.what.path) for item in walk(data) if isinstance(item, Named)}
    for length in range(len(data)):
        items = walk(data[:length])
        found = {(item.offset, item.what.path) for item in items if isinstance(item, Named)}
        expected = {(place, path) for place, path in full if place + len(path) + 4 < length}
        assert expected <= found, length
        assert any(isinstance(item, Broken) for item in items), length


@pytest.mark.parametrize("data", list(broken_samples()), ids=lambda data: f"{len(data)}-bytes")
def test_flipped_bytes_only_give_items(data: bytes) -> None:
    """Any byte set to anything: the walk ends, and ends after the last byte or at a gap."""
    numbers = random.Random(len(data))
    for _ in range(400):
        mutant = bytearray(data)
        for _ in range(numbers.randrange(1, 4)):
            mutant[numbers.randrange(len(mutant))] = numbers.randrange(256)
        items = walk(bytes(mutant))
        last = items[-1]
        assert isinstance(last, Ended | Gap)
        assert (last.end if isinstance(last, Ended) else last.offset + last.length) <= len(data)


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_walked(data: bytes) -> None:
    """Whatever the bytes, `is_pickle` answers and the walk ends."""
    is_pickle(BytesBlob(data))
    walk(data)
    walk(b"\x80\x04" + data)


def test_every_opcode_is_known() -> None:
    """The tables hold exactly CPython's opcodes."""
    assert {op.code.encode("latin-1")[0]: op.name for op in pickletools.opcodes} == NAMES


# --- hostile sizes ------------------------------------------------------------------------------------------

HUGE = {
    "marks": b"\x80\x04cbuiltins\nlen\n0" + b"(" * 300_000 + b"N.",
    "nested tuples": b"\x80\x04cbuiltins\nlen\n0)" + b"\x85" * 300_000 + b".",
    "nested lists": b"\x80\x04cbuiltins\nlen\n0" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "doubled tuples": b"\x80\x04cbuiltins\nlen\n0" + b")\x94" + b"22\x87" * 20_000 + b".",
    "far memo": b"\x80\x04cbuiltins\nlen\nr\xff\xff\xff\xff" + b"".join(
        b"Nr" + (n * 65_537 % (1 << 32)).to_bytes(4, "little") for n in range(50_000)
    ) + b".",
    "declared 2^63": b"\x80\x04cbuiltins\nlen\n\x8e" + b"\xff" * 7 + b"\x7f" + b"N.",
    "declared 2^64": b"\x80\x04cbuiltins\nlen\n\x8d" + b"\xff" * 8 + b"N.",
    "negative length": b"\x80\x04cbuiltins\nlen\nT\xff\xff\xff\xffN.",
    "huge number": b"\x80\x04cbuiltins\nlen\n\x8b" + (1 << 20).to_bytes(4, "little") + b"\x7f" * (1 << 20) + b"0.",
    "long digits": b"cbuiltins\nlen\n0L" + b"9" * (1 << 20) + b"L\n.",
    "many calls": b"\x80\x04cbuiltins\nlen\nq\x00" + b"h\x00)R0" * 100_000 + b".",
    "many globals": b"".join(b"cmodule%d\nname\n0" % n for n in range(50_000)) + b"N.",
    "call ladder": b"\x80\x04cbuiltins\nlen\n" + b")R" * 100_000 + b".",
    "partials": b"\x80\x04cfunctools\npartial\nq\x00cbuiltins\nlen\n\x85R" + b"h\x00q\x010" + b"h\x00\x85R" * 5 + b".",
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_hostile_sizes_are_walked_in_bounded_memory(name: str) -> None:
    """Deep nesting, far indices and false lengths end, without recursion, and `builtins.len` is still found."""
    items = walk(HUGE[name])
    assert isinstance(items[-1], Ended | Gap)
    assert any(isinstance(item, Named) for item in items)


def test_doubling_a_decoded_text_is_bounded() -> None:
    """A billion laughs of str.join computes a bounded text and then gives up."""
    body = asm.stack_global("builtins", "str.join") + b"q\x00" + asm.text("aaaaaaaa", 4) + b"q\x01"
    for _ in range(60):
        body += b"0h\x00h\x01h\x01h\x01\x86\x86Rq\x01"
    items = walk(b"\x80\x04" + body + asm.text("x", 4) + asm.STACK_GLOBAL + asm.STOP)
    assert any(isinstance(item, Computed | Broken) for item in items)


# --- following ----------------------------------------------------------------------------------------------

OS_SYSTEM = ("os", "system")


def g(path: str) -> asm.Raw:
    module, _, name = path.partition(":")
    return asm.Raw(asm.stack_global(module, name))


def made(function: str, *args: object) -> asm.Raw:
    module, _, name = function.partition(":")
    return asm.calls(module, name, *args)


CHAINS: dict[str, asm.Raw] = {
    "getattr": made("builtins:getattr", made("builtins:__import__", "os"), "system"),
    "import_module": made("builtins:getattr", made("importlib:import_module", "os"), "system"),
    "resolve": made("pkgutil:resolve_name", "os:system"),
    "resolve dotted": made("pkgutil:resolve_name", "os.system"),
    "reduce": made("functools:reduce", g("builtins:getattr"), ["system"], made("builtins:__import__", "os")),
    "map": made("builtins:map", g("builtins:getattr"), [made("builtins:__import__", "os")], ["system"]),
    "joined": made("pkgutil:resolve_name", made("builtins:str.join", ":", ["os", "system"])),
    "rot13": made("pkgutil:resolve_name", made("_codecs:decode", "bf:flfgrz", "rot13")),
    "base64": made("pkgutil:resolve_name", made("_codecs:decode", made("base64:b64decode", "b3M6c3lzdGVt"), "utf-8")),
    "replaced": made("pkgutil:resolve_name", made("builtins:str.replace", "o-s:sys-tem", "-", "")),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_chains_are_followed_to_what_they_reach(name: str) -> None:
    """getattr ladders, imports from text, folds and decoders end in the name that they compute."""
    assert OS_SYSTEM in named(asm.pickle(asm.literal(CHAINS[name], 4), 4))


def test_called_results_are_followed() -> None:
    """partial, attrgetter and methodcaller reach their callable when their result is called."""
    module = made("builtins:__import__", "os")
    partial = asm.call(asm.literal(made("functools:partial", g("os:system"), "x"), 4))
    getter = asm.call(asm.literal(made("operator:attrgetter", "system"), 4), asm.literal(module, 4))
    caller = asm.call(asm.literal(made("operator:methodcaller", "system", "x"), 4), asm.literal(module, 4))
    for body in (partial, getter, caller):
        assert OS_SYSTEM in named(asm.pickle(body, 4))


def test_computed_names_are_resolved_or_told_of() -> None:
    """STACK_GLOBAL on joined text names what it makes; on what only a run would tell it is told of."""
    joined = asm.literal(made("builtins:str.join", "", ["o", "s"]), 4) + asm.text("system", 4) + asm.STACK_GLOBAL
    assert OS_SYSTEM in named(asm.pickle(joined, 4))
    hidden = asm.literal(made("platform:node"), 4) + asm.text("system", 4) + asm.STACK_GLOBAL
    assert any(isinstance(item, Computed) for item in walk(asm.pickle(asm.call(hidden, asm.text("x", 4)), 4)))


def test_benign_callables_are_not_computed() -> None:
    """Ordinary uses of partial, attrgetter and getattr give no computed name."""
    values = [functools.partial(int, base=2), operator.attrgetter("a"), operator.itemgetter(1), pathlib.PurePosixPath]
    for protocol in range(6):
        assert whole(pickle.dumps([*values, datetime.UTC, uuid.UUID(int=1)], protocol))


# --- streams ------------------------------------------------------------------------------------------------


def test_later_pickles_are_found_behind_gaps() -> None:
    """Pickles in a row, behind zero bytes, behind junk, and behind one that breaks."""
    evil = asm.pickle(asm.call(asm.stack_global("os", "system"), asm.text("x", 4)), 4)
    plain = pickle.dumps([1, 2, 3], 2)
    for gap in (b"", b"\0" * 100, b"\0" * 300_000, b"junk \xff\xfe" * 50):
        assert OS_SYSTEM in named(plain + gap + evil), gap[:8]
    assert OS_SYSTEM in named(plain[:-1] + b"\xff" + evil)


def test_one_memo_for_several_pickles() -> None:
    """Pickles written by one Pickler share its memo; reading them on their own would break."""
    out = io.BytesIO()
    pickler = pickle.Pickler(out, 4)
    date = datetime.date(2020, 1, 1)
    for value in ([date], [date, "x"], [datetime.date, date]):
        pickler.dump(value)
    items = walk(out.getvalue())
    assert not [item for item in items if isinstance(item, Broken | Computed)]
    assert sum(isinstance(item, Ended) and item.whole for item in items) == 3


def test_frames_end_where_opcodes_end() -> None:
    """A frame that cuts an opcode is told of, in plain data and after a global; CPython's own frames are not."""
    value = asm.text("y" * 40, 4)
    assert any(isinstance(item, WrongFrame) for item in walk(b"\x80\x04" + asm.frame(value + b"0N.", 7)))
    acting = asm.stack_global("builtins", "len") + b"0" + value
    assert any(isinstance(item, WrongFrame) for item in walk(b"\x80\x04" + asm.frame(acting + b"0N.", len(acting) - 3)))
    assert whole(pickle.dumps([len, b"z" * 200_000, list(range(100_000)), "t" * 100_000], 5))


def test_payloads_are_found_in_literals() -> None:
    """Raw, in text, base64, hex, and in several layers; ordinary text and numbers are not payloads."""
    import base64
    import zlib

    evil = asm.pickle(asm.call(asm.stack_global("os", "system"), asm.text("echo sample", 4)), 4)
    layered = base64.b64encode(zlib.compress(base64.b64encode(evil))).decode()
    carriers = (evil, b"junk" * 9 + evil, base64.b64encode(evil), evil.hex(), zlib.compress(evil), layered)
    carriers += (base64.encodebytes(evil * 2).decode(), evil.decode("latin-1"))
    for carrier in carriers:
        for protocol in range(6):
            items = walk(pickle.dumps({"v": carrier}, protocol))
            if protocol > 2 or isinstance(carrier, str):
                assert any(isinstance(item, Nested) for item in items), (carrier[:20], protocol)
    quoted = b"\x80\x02S'" + base64.b64encode(evil) + b"'\n."
    assert any(isinstance(item, Nested) for item in walk(quoted))
    honest = ["a sentence of ordinary words, some thirty of them" * 3, "deadbeef" * 20, "QUJD" * 30, bytes(range(256))]
    honest += [np.random.default_rng(1).bytes(4000), base64.b64encode(np.random.default_rng(2).bytes(900)).decode()]
    assert not [item for item in walk(pickle.dumps(honest, 4)) if isinstance(item, Nested)]


def test_a_zip_is_no_pickle() -> None:
    """`PK` reads as a persistent id; nothing that a zip holds makes it one."""
    assert not is_pickle(BytesBlob(b"PK\x03\x04\x14\0\n" + b"K\x01" * 40 + b"."))
    assert not is_pickle(BytesBlob(b"P\x03\0\0\0\0\0\0{" + b'"a": 1}' * 100 + b"\n"))
    assert is_pickle(BytesBlob(b"P1\n" + b"K\x01" * 40 + b"."))


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_larger_than_a_window_are_read_to_their_end(protocol: int) -> None:
    """Wherever the edges of what is read at a time fall, the last import of the stream is seen."""
    for seed in range(40):
        chance = random.Random(seed)
        parts: list[object] = [
            chance.choice(
                [chance.randrange(10 ** chance.randrange(1, 30)), "t" * chance.randrange(400), chance.random()]
            )
            for _ in range(chance.randrange(300, 1500))
        ]
        data = pickle.dumps([parts, fractions.Fraction(1, 3)], protocol)
        events = list(Walk(BytesBlob(data), lambda module, name: ROLES.get((module, name)), 2).items())
        assert not [event for event in events if isinstance(event, Broken)], seed
        assert "fractions" in {event.what.module for event in events if isinstance(event, Named)}, seed


@pytest.mark.parametrize("tiny", [b"N.", b"\x80\x02K\x07\x85.", b"K..", b"(N.", b"N\x94."])
@pytest.mark.parametrize("count", [3, 40, 30_000])
def test_what_follows_many_tiny_pickles_is_found(tiny: bytes, count: int) -> None:
    """However many there are, and whether or not they are passed over at once."""
    hostile = b"cposix\nsystem\n(S'echo'\ntR."
    data = b"N." * 8 + tiny * count + hostile
    named = [item.offset for item in walk(data) if isinstance(item, Named)]
    assert named == [len(data) - len(hostile)]
