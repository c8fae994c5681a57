"""The pickle scanner: each rule fires on a sample and is silent on its near miss; what is no pickle does not fit."""

import base64
import io
import json
import pickle
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path

import dill
import joblib
import numpy as np
import pytest

import modelaudit
from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Inspection, Note, Severity
from modelaudit.scanners.pickle import fits, scan
from tests.samples import assembler as asm
from tests.samples import compressed

EVIL = asm.pickle(asm.call(asm.stack_global("os", "system"), asm.text("echo sample", 4)), 4)


def items(data: bytes) -> Sequence[Hit | Child | Asset | Note]:
    return list(scan(BytesBlob(data), Limits()))


def hits(data: bytes) -> list[Hit]:
    return [item for item in items(data) if isinstance(item, Hit)]


def rules(data: bytes) -> set[str]:
    return {hit.rule for hit in hits(data)}


def worst(result: Inspection) -> int:
    return max((finding.severity.rank for finding in result.findings), default=0)


def call(path: str, *args: object, protocol: int = 4) -> bytes:
    """A pickle that calls `module:name`."""
    module, _, name = path.partition(":")
    return asm.pickle(asm.literal(asm.calls(module, name, *args), protocol), protocol)


def bare(body: bytes) -> bytes:
    return b"\x80\x04" + body + asm.STOP


# --- rules: a sample that fires, and one as near to it as can be that does not ------------------------------------

GLOBAL = asm.stack_global
ORDERED = asm.call(GLOBAL("collections", "OrderedDict"))
TENSOR = asm.call(GLOBAL("torch._utils", "_rebuild_tensor_v2"))

# What SciPy 1.17 keeps in the state of `scipy.stats.norm`, and a call hidden in it.
TEMPLATE = """
def _parse_args(self,  loc=0, scale=1):
    return (), loc, scale

def _parse_args_rvs(self,  loc=0, scale=1, size=None):
    return self._argcheck_rvs( loc, scale, size=size)

def _parse_args_stats(self,  loc=0, scale=1, moments='mv'):
    return (), loc, scale, moments
"""
HIDDEN = TEMPLATE.replace("loc=0", "loc=__import__('os').system('echo sample')", 1)
NORM = "scipy.stats._continuous_distns:norm_gen"


def filled(path: str, state: bytes, protocol: int = 4) -> bytes:
    """An object of a class, made without its constructor and given a state."""
    module, _, name = path.partition(":")
    if protocol < 2:
        made = asm.literal(asm.calls("copyreg", "_reconstructor", asm.Raw(asm.global_(module, name)),
                                     asm.Raw(asm.global_("builtins", "object")), None), protocol)  # fmt: skip
    else:
        made = GLOBAL(module, name) + b")\x81"
    return asm.pickle(made + state + b"b", protocol)


def template(text: str, protocol: int = 4) -> bytes:
    state = {"name": "norm", "_parse_arg_template": text, "badvalue": 1.5}
    return asm.literal(state, protocol) if protocol else pickle.dumps(state, 0)[:-1]


RULES: dict[str, tuple[bytes, bytes]] = {
    "pickle-import": (bare(GLOBAL("os", "system")), bare(GLOBAL("collections", "OrderedDict"))),
    "pickle-call": (EVIL, bare(ORDERED)),
    "pickle-decode-exec": (
        call("builtins:exec", asm.calls("base64", "b64decode", base64.b64encode(b"print(1)").decode())),
        call("builtins:exec", "print(1)"),
    ),
    "pickle-unknown-call": (call("some_package.models:Net"), bare(GLOBAL("some_package.models", "Net"))),
    "pickle-unknown-import": (bare(GLOBAL("some_package.models", "Net")), bare(asm.text("some_package.models", 4))),
    "pickle-computed": (
        bare(asm.literal(asm.calls("some_package", "name"), 4) + asm.text("system", 4) + asm.STACK_GLOBAL),
        bare(asm.literal(asm.calls("builtins", "str.join", "", ["coll", "ections"]), 4) + asm.text("OrderedDict", 4)
             + asm.STACK_GLOBAL),
    ),
    "pickle-write": (
        bare(GLOBAL("collections", "OrderedDict") + b"}" + asm.text("x", 4) + b"Nsb"),
        bare(ORDERED + b"}" + asm.text("x", 4) + b"Nsb"),
    ),
    "pickle-write-tensor": (
        bare(TENSOR + asm.text("x", 4) + b"Ns"), bare(ORDERED + asm.text("x", 4) + TENSOR + b"s"),
    ),
    "pickle-write-data": (bare(ORDERED + b"0K\x01" + asm.text("x", 4) + b"Ns"), bare(b"}" + asm.text("x", 4) + b"Ns")),
    "pickle-setstate": (
        bare(ORDERED + b"}" + asm.text("__setstate__", 4) + b"Nsb"),
        bare(ORDERED + b"}" + asm.text("state", 4) + b"Nsb"),
    ),
    "pickle-state-code": (filled(NORM, template(HIDDEN)), filled(NORM, template(TEMPLATE))),
    "pickle-extension": (bare(b"\x82\x07"), bare(b"K\x07")),
    "pickle-nested": (pickle.dumps({"blob": EVIL}), pickle.dumps({"blob": bytes(range(200))})),
    "pickle-trailing": (EVIL + b"\x01some tail", EVIL + b"\0" * 40),
    "pickle-joblib-array": (
        bare(GLOBAL("joblib.numpy_pickle", "NumpyArrayWrapper") + asm.EMPTY_TUPLE + asm.NEWOBJ + asm.NONE + asm.BUILD),
        bare(compressed.wrapped(compressed.floats(2), 2, aligned=False)),
    ),
    "pickle-frame": (b"\x80\x04" + asm.frame(asm.text("y" * 40, 4) + b"0N.", 7), pickle.dumps(["y" * 40], 4)),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule_fires_and_its_near_miss_is_silent(rule: str) -> None:
    """The rule's sample gives the rule; the near miss does not."""
    sample, near_miss = RULES[rule]
    assert rule in rules(sample)
    assert rule not in rules(near_miss)


def test_every_rule_has_a_sample() -> None:
    """The table above and the catalogue name the same rules."""
    known = modelaudit.catalogue.load().rules
    assert set(RULES) == {rule for rule in known if rule.startswith("pickle-")}


# --- what a finding says ------------------------------------------------------------------------------------


def test_findings_read_as_promised() -> None:
    """os.system is told of under its real module, with positions, and its call as a second finding."""
    data = asm.pickle(asm.call(asm.global_("os", "system"), asm.text("echo sample", 0)), 0)
    first, second = inspect(BytesBlob(data), uri="x.pkl").findings
    assert (first.severity, first.message) == (
        Severity.CRITICAL,
        "Suspicious module reference found: posix.system",
    )
    assert "os" in first.why
    assert (first.location, first.offset) == ("x.pkl (pos 0)", 0)
    assert {"position", "opcode", "module", "function", "ml_context_confidence"} <= first.details.keys()
    assert (first.details["module"], first.details["function"]) == ("posix", "system")
    assert second.severity is Severity.WARNING
    assert second.message.startswith("Found REDUCE opcode - potential __reduce__ method execution: ")
    assert "echo sample" in second.message
    assert second.offset == data.index(b"R")


def test_many_calls_are_one_finding_with_a_count() -> None:
    """A hundred thousand instances of one unknown class do not flood the report."""
    data = bare(GLOBAL("some_package", "Net") + b"q\x00" + b"0h\x00)\x81" * 100_000)
    found = hits(data)
    assert Counter(hit.rule for hit in found) == {"pickle-unknown-call": 1}
    assert found[0].evidence["count"] == 100_000


def test_a_chain_is_judged_by_what_it_reaches() -> None:
    """getattr on a module is its attribute; getattr on an ordinary class is silent."""
    ladder = asm.calls("builtins", "getattr", asm.calls("builtins", "__import__", "posix"), "system")
    found = [hit for hit in hits(bare(asm.literal(ladder, 4))) if hit.evidence.get("function") == "system"]
    assert found[0].evidence["module"] == "posix"
    assert "getattr" in str(found[0].evidence["via"])
    harmless = asm.call(GLOBAL("builtins", "getattr"), GLOBAL("collections", "OrderedDict"), asm.text("fromkeys", 4))
    assert all(hit.severity is None and hit.rule == "pickle-unknown-import" for hit in hits(bare(harmless)))


def test_confidence_changes_no_verdict() -> None:
    """Hundreds of ordinary globals around one attack change the number, not the finding."""
    around = b"".join(GLOBAL("numpy", f"Thing{n}") + b"0" for n in range(300))
    found = [hit for hit in hits(bare(around + EVIL[2:-1])) if hit.rule == "pickle-import"]
    assert len(found) == 1
    assert found[0].evidence["ml_context_confidence"] == pytest.approx(1, abs=0.01)
    assert found[0].severity is None


def test_decode_chain_is_one_finding_with_the_text() -> None:
    """exec over two decoders is told of once, with what it runs."""
    source = b"print('sample')"
    packed = base64.b64encode(zlib.compress(source)).decode()
    chain = asm.calls("builtins", "exec", asm.calls("zlib", "decompress", asm.calls("base64", "b64decode", packed)))
    found = [hit for hit in hits(bare(asm.literal(chain, 4))) if hit.rule == "pickle-decode-exec"]
    assert len(found) == 1
    assert found[0].evidence["code"] == source.decode()
    assert "exec(zlib.decompress(base64.b64decode(" in str(found[0].evidence["call"])


@pytest.mark.parametrize("wrap", ["raw", "base64", "hex", "zlib", "twice"])
def test_what_nested_pickles_hold_is_found(wrap: str) -> None:
    """The attack inside an encoded literal is a critical finding of the child, one level and two."""
    inner: object = EVIL
    if wrap == "base64":
        inner = base64.b64encode(EVIL).decode()
    elif wrap == "hex":
        inner = EVIL.hex()
    elif wrap == "zlib":
        inner = base64.b64encode(zlib.compress(EVIL))
    elif wrap == "twice":
        inner = pickle.dumps({"again": base64.b64encode(EVIL)})
    result = inspect(BytesBlob(pickle.dumps({"model": [1, 2], "config": inner})), uri="m.pkl")
    assert worst(result) == Severity.CRITICAL.rank


def test_a_program_behind_the_stop_becomes_a_child() -> None:
    """What follows the last pickle is handed on, with its place."""
    tail = b"\x7fELF" + b"\2\1\1" + b"\0" * 9 + b"program"
    children = [item for item in items(pickle.dumps([1]) + tail) if isinstance(item, Child)]
    assert [(child.offset, child.length) for child in children] == [(len(pickle.dumps([1])), len(tail))]


def test_what_was_found_stays_when_the_stream_breaks() -> None:
    """An attack before garbage is found, and the record says that the rest was not understood."""
    result = inspect(BytesBlob(EVIL[:-1] + b"\xff\xff\xff garbage"), uri="m.pkl")
    assert worst(result) == Severity.CRITICAL.rank
    assert (result.status, result.reason) == ("partial", "broken")


# --- legacy torch -------------------------------------------------------------------------------------------


def legacy(tail: bytes = b"", magic: bytes | None = None) -> bytes:
    """A torch file of the old format: magic, version, system, object, keys, and two raw storages."""

    def tensor(kind: str, key: str, count: int) -> bytes:
        pid = asm.tuple_(
            asm.text("storage", 2), asm.global_("torch", kind), asm.text(key, 2), asm.text("cpu", 2),
            asm.integer(count), b"N",
        )  # fmt: skip
        size = asm.tuple_(asm.integer(count))
        return asm.call(asm.global_("torch._utils", "_rebuild_tensor_v2"), pid + b"Q", b"K\x00", size, size, b"\x89")

    parts = [
        magic or pickle.dumps(0x1950A86A20F9469CFC6C, 2),
        pickle.dumps(1001, 2),
        pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2),
        b"\x80\x02" + asm.tuple_(tensor("FloatStorage", "10", 100), tensor("HalfStorage", "11", 7)) + b".",
        pickle.dumps(["10", "11"], 2),
    ]
    noise = random.Random(3)
    for count, size in ((100, 4), (7, 2)):
        parts.append(struct.pack("<q", count) + noise.randbytes(count * size))
    return b"".join(parts) + tail


def test_legacy_torch_is_whole_and_silent() -> None:
    """Five pickles and raw storages are accounted for to the last byte."""
    assert items(legacy()) == [Asset("", "pytorch-legacy")]


def test_what_follows_the_storages_is_found() -> None:
    """A pickle behind the raw storages is scanned, and so is a forged magic number."""
    assert "pickle-import" in rules(legacy(EVIL))
    forged = call("builtins:eval", "MAGIC", protocol=2)
    assert "pickle-import" in rules(legacy(magic=forged))


# --- ordinary files are silent ------------------------------------------------------------------------------

ORDINARY = {
    "numbers": list(range(1000)),
    "text": {"words": ["the quick brown fox"] * 50, "long": "lorem ipsum " * 1000},
    "array": np.arange(20_000, dtype="f4").reshape(100, 200),
    "unsigned": {"u": np.arange(7, dtype="u4"), "b": np.array([True, False]), "t": np.array(["a", "bcd"])},
    "record": np.zeros(3, dtype=[("left", "<i8"), ("value", "<f8"), ("leaf", "u1")]),
    "objects": np.array([None, {"a": [1]}, "x"], dtype=object),
    "after objects": [np.array([{"a": 1}], dtype=object), np.arange(5.0), OrderedDict(a=np.arange(3))],
    "strided": np.arange(12.0).reshape(3, 4).T,
    "empty": [np.zeros((0, 3)), np.zeros(()), {}, []],
    "random": np.random.default_rng(5).normal(size=5000),
    "collections": [OrderedDict(a=1), Counter("abc"), {1, 2}, frozenset([3]), complex(1, 2), Path("a").parts],
}


def silent(data: bytes) -> bool:
    result = inspect(BytesBlob(data), uri="m.pkl")
    return not result.findings and result.status == "scanned"


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_values_are_silent(name: str) -> None:
    """Pickled by every protocol, by dill, and dumped by joblib, ordinary values give no finding at all."""
    value = ORDINARY[name]
    for protocol in range(6):
        assert silent(pickle.dumps(value, protocol)), protocol
        out = io.BytesIO()
        joblib.dump(value, out, protocol=max(protocol, 2))
        assert silent(out.getvalue()), protocol
    assert silent(dill.dumps(value))


def test_opcodes_inside_a_joblib_array_are_not_hidden() -> None:
    """An array that a plain unpickler would run as opcodes is followed as such, too."""
    body = asm.stack_global("os", "system") + asm.tuple_(asm.text("echo sample", 4)) + asm.REDUCE + asm.STOP
    out = io.BytesIO()
    joblib.dump(np.frombuffer(body.ljust(64, b"."), dtype="u1"), out)
    honest = out.getvalue()
    start = honest.rindex(b"b", 0, honest.index(body)) + 1  # right behind BUILD, where the opcodes would go on
    assert "pickle-import" in rules(honest[:start] + body.ljust(len(honest) - start, b"."))


# --- what fits ----------------------------------------------------------------------------------------------

PICKLES = {
    "protocol 0 attack": b"cos\nsystem\n(S'echo sample'\ntR.",
    "protocol 0 list": pickle.dumps([1, "a", 2.5], 0),
    "protocol 0 dict": pickle.dumps({"a": {"b": [1, 2]}}, 0),
    "protocol 0 number": pickle.dumps(12, 0),
    "protocol 1": pickle.dumps({"a": [1, 2.5, "x"]}, 1),
    "tiny": pickle.dumps(None, 2),
    "header": pickle.dumps([1, 2], 4),
    "begins with a list": b"(lp0\nI1\naI2\na.",
    "import without call": b"cos\nsystem\n.",
    "import, then garbage": b"cos\nsystem\n\xff\xff\xff",
    "harmless first": b"(" * 5 + b"N0" * 5000 + b"cos\nsystem\n(S'echo'\ntR.",
    "long first string": asm.binunicode("x" * 200_000) + b"0cos\nsystem\n(S'echo'\ntR.",
    "inst": b"(S'echo'\nios\nsystem\n.",
    "breaks later": pickle.dumps(list(range(300)), 4)[:200] + b"\xff" * 50,
    "odd numbers": b"I0x1f\n0L1_0L\n0cos\nsystem\n(S'x'\ntR.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_fit_by_content(name: str) -> None:
    """Any protocol, any beginning, whole or broken later."""
    assert fits(BytesBlob(PICKLES[name]), Limits())


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "text")
    return out.getvalue()


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\0\1\0" * 2 + b"\x08\x02\0\0\0" + zlib.compress(b"x" * 100)


OTHERS = {
    "empty": b"",
    "readme": b"# Model card\n\nThis model was trained on text.\n\n```python\nimport os\n```\n",
    "license": b"Copyright (c) 2024\n\nPermission is hereby granted, free of charge, to any person\n",
    "apache": b"                         Apache License\n                   Version 2.0, January 2004\n",
    "python": b"import os\nimport sys\n\n\ndef main():\n    print(1)\n",
    "class": b"class Net:\n    pass\n",
    "json": json.dumps({"a": [1, 2, {"b": None}], "hidden_size": 768}).encode(),
    "json list": b"[[1, 2], [3, 4]]",
    "json lines": b'{"a": 1}\n{"a": 2}\n',
    "brackets": b"]]]]]]}}}}))))",
    "lisp": b"((((((((lambda (x) x))))))))",
    "yaml": b"name: model\nlayers:\n  - 1\n  - 2\n",
    "csv": b"id,label\n1,cat\n2,dog\n",
    "numbers": b"0.5 0.25 0.125\n1 2 3\n",
    "merges": b"#version: 0.2\n\xc4\xa0 t\nh e\ni n\n",
    "words": b"cat\ndog\neel\nfox\ngnu\n",
    "words c": b"config\nvalue\nother\nthings\n",
    "capitals": b"NNNNN\nKKKK\nVVVV\n",
    "sentence": b"Version 2 of the model.\nLoss is 0.5.\nIt was trained.\n",
    "xml": b"<?xml version='1.0'?><PMML></PMML>",
    "html": b"<!DOCTYPE html><html></html>",
    "ini": b"[section]\nkey = value\n",
    "diff": b"diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n",
    "makefile": b"all:\n\techo hi\n",
    "base64 line": base64.b64encode(random.Random(1).randbytes(90_000)),
    "V base64": b"V" + base64.b64encode(random.Random(1).randbytes(90_000)),
    "elf": b"\x7fELF\x02\x01\x01" + b"\0" * 100,
    "exe": b"MZ\x90\x00\x03" + b"\0" * 100,
    "bmp": b"BM\x36\x84\x03\0\0\0\0\0\x36\0\0\0\x28\0\0\0" + b"\xff" * 400,
    "gguf": b"GGUF\x03\0\0\0" + b"\0" * 64,
    "safetensors": struct.pack("<Q", 40) + json.dumps({"w": {"dtype": "F32", "shape": [1]}}).encode(),
    "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }".ljust(128),
    "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 60,
    "zip": zipped(),
    "png": png(),
    "gzip": b"\x1f\x8b\x08\x00" + zlib.compress(b"a"),
    "bz2": b"BZh91AY&SY" + random.Random(2).randbytes(300),
    "tar": b"model/data.txt".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 300,
    "utf-16": "a text in another encoding, of some length".encode("utf-16"),
    "utf-8 bom": b"\xef\xbb\xbfa text",
    "floats": np.random.default_rng(3).normal(size=4000).astype("f4").tobytes(),
    "int8": np.random.default_rng(4).integers(-128, 127, 4000).astype("i1").tobytes(),
    "zeros": b"\0" * 4096,
    "0x80 zeros": b"\x80\x02" + b"\0" * 4096,
    "spaces": b" " * 600,
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_do_not_fit(name: str) -> None:
    """Text, code, images, archives, weights: none of them is taken for a pickle."""
    assert not fits(BytesBlob(OTHERS[name]), Limits())


def test_sources_and_random_bytes_do_not_fit() -> None:
    """Every source file of the project, and thousands of random blobs, are no pickles."""
    for path in Path(modelaudit.__file__).parent.rglob("*.*"):
        if path.suffix in (".py", ".toml"):
            assert not fits(BytesBlob(path.read_bytes()), Limits()), path
    noise = random.Random(9)
    for _ in range(5000):
        data = noise.randbytes(noise.randrange(20, 600))
        assert not fits(BytesBlob(data), Limits()), data


def _text(data: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(data)) + data


@pytest.mark.parametrize("before", range(1, 8))
def test_an_opcode_across_the_edge_of_a_window_is_read_whole(before: int) -> None:
    """A length that begins `before` bytes ahead of the first window's end is not read short.

    Read short, the text's own bytes would be taken for opcodes, and its `N.` for the end of the pickle.
    """
    edge = 4096
    data = b"\x80\x02ccollections\nOrderedDict\nq\x000" + _text(b"posix") + b"q\x01" + _text(b"system") + b"q\x02"
    while edge - before - 9 - len(data) > 29:
        data += _text(b"a" * 19)
    data += _text(b"a" * (edge - before - 9 - len(data) - 5)) + b"G" + bytes(8)
    assert len(data) == edge - before
    data += _text(b"N." + bytes(30)) + b"0h\x01h\x02\x93" + _text(b"echo modelaudit-sample") + b"\x85R."
    assert "pickle-import" in {finding.rule for finding in inspect(BytesBlob(data)).findings}


def test_numbers_that_begin_like_a_pickle_are_numbers() -> None:
    """Thousands of small float arrays, some of which begin with a pickle's header by chance, are silent."""
    chance = np.random.default_rng(7)
    rows = {f"w{number}": chance.standard_normal(90).astype("<f4") for number in range(6000)}
    rows |= {
        f"x{number}": np.frombuffer(bytes([0x80, number % 6]) + chance.bytes(358), "<f4") for number in range(3000)
    }
    found = inspect(BytesBlob(pickle.dumps(rows, 4)))
    assert (found.status, found.findings) == ("scanned", ())


def test_a_long_payload_is_seen_by_its_head() -> None:
    """A pickle inside bytes that is larger than what is looked at of them is still one."""
    payload = (
        pickle.dumps([f"text {number}" for number in range(50_000)])[:-1] + b"0cposix\nsystem\nX\x04\0\0\0echo\x85R."
    )
    found = inspect(BytesBlob(pickle.dumps({"blob": payload})))
    assert "pickle-import" in {finding.rule for finding in found.findings}


# --- objects that are made and filled ---------------------------------------------------------------------------

PAIR = asm.tuple_(asm.text("_parse_arg_template"), asm.text(HIDDEN))
PLANTED: dict[str, bytes] = {
    "protocol 0": filled(NORM, template(HIDDEN, 0), 0),
    "the last of two": filled(NORM, asm.dict_(
        *(asm.text(text) for text in ("_parse_arg_template", TEMPLATE, "_parse_arg_template", HIDDEN)))),
    "a list of pairs": filled(NORM, asm.list_(PAIR)),
    "a tuple of pairs": filled(NORM, asm.tuple_(PAIR)),
    "a dict as a pair": filled(NORM, asm.list_(asm.literal({"_parse_arg_template": None, HIDDEN: None}))),
    "bytes": filled(NORM, asm.dict_(asm.text("_parse_arg_template"), asm.binbytes(HIDDEN.encode()))),
    "another mapping": filled(NORM, ORDERED + asm.text("_parse_arg_template", 4) + asm.text(HIDDEN, 4) + b"s"),
    "a joined key": filled(NORM, asm.dict_(
        asm.literal(asm.calls("builtins", "str.join", "_", ["_parse_arg", "template"])), asm.text(HIDDEN))),
    "its method": asm.pickle(asm.call(
        GLOBAL("scipy.stats._continuous_distns", "norm_gen.__setstate__"), asm.call(GLOBAL(*NORM.split(":"))),
        template(HIDDEN))),
    "dill's array": asm.pickle(asm.call(
        GLOBAL("dill._dill", "_create_array"), GLOBAL(*NORM.split(":")), b")", template(HIDDEN))),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_source_in_a_state_is_found_however_it_gets_there(name: str) -> None:
    """Each way in which a state reaches `dict.update` gives the rule: pairs, other mappings, other protocols, calls."""
    assert "pickle-state-code" in rules(PLANTED[name])


ORDINARY_STATES: dict[str, bytes] = {
    "protocol 0": filled(NORM, template(TEMPLATE, 0), 0),
    "another class": filled("scipy.sparse._csr:csr_matrix", template(HIDDEN)),
    "no template": filled("scipy.stats._kde:gaussian_kde", asm.literal({"n": 3})),
    "before SciPy 1.6": filled(NORM, asm.tuple_(asm.literal({"a": 1, "b": 2, "name": "x"}), asm.call(
        GLOBAL("numpy.random._pickle", "__randomstate_ctor")))),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDINARY_STATES)
def test_ordinary_states_are_silent(name: str) -> None:
    """SciPy's own text in every protocol, states without it and states of other classes give nothing."""
    assert hits(ORDINARY_STATES[name]) == []


MODEL = "ultralytics.nn.tasks", "DetectionModel"
# Each is what a saved model holds, and does harm when it is called with arguments (versions of 2022 to 2026).
RESTORED = (
    "cmdstanpy.model:CmdStanModel",
    "sentence_transformers.SentenceTransformer:SentenceTransformer",
    "sentence_transformers.models.Transformer:Transformer",
    "flair.embeddings.token:WordEmbeddings",
    "flair.models.entity_linker_model:CandidateGenerator",
    "torchtext.vocab.vectors:Vectors",
    "fairseq.models.wav2vec.wav2vec2:Wav2Vec2Model",
    "fairseq.criterions.ctc:CtcCriterion",
    "xgboost.core:Booster",
    "lightgbm.basic:Booster",
    "peft.tuners.prompt_tuning.model:PromptEmbedding",
    "torch_geometric.data.in_memory_dataset:InMemoryDataset",
)


def test_a_class_that_is_only_restored_is_silent() -> None:
    """NEWOBJ, `_reconstructor` and BUILD do not run the constructor of a YOLO model or of a compiled Stan model."""
    for protocol in (0, 2, 4):
        for path in (":".join(MODEL), *RESTORED):
            assert hits(filled(path, asm.literal({"training": False}, protocol), protocol)) == []


@pytest.mark.parametrize("path", RESTORED)
def test_a_class_that_is_called_is_told_of(path: str) -> None:
    """With one argument of the file, which these constructors evaluate, fetch or open."""
    module, _, name = path.partition(":")
    data = asm.pickle(asm.call(GLOBAL(module, name), asm.text("evil/repository")))
    assert {(hit.rule, hit.evidence["reference"]) for hit in hits(data)} == {
        ("pickle-unknown-call", f"{module}.{name}")
    }


@pytest.mark.parametrize("opcode", ["REDUCE", "OBJ", "INST", "base"])
def test_a_constructor_that_gets_arguments_is_told_of(opcode: str) -> None:
    """The same class, called with an argument of the file in each way that calls it, is a warning."""
    name = asm.text("evil.yaml")
    bodies = {
        "REDUCE": asm.call(GLOBAL(*MODEL), name),
        "OBJ": b"(" + GLOBAL(*MODEL) + name + b"o",
        "INST": asm.inst(*MODEL, name),
        "base": asm.call(GLOBAL("copyreg", "_reconstructor"), GLOBAL(*MODEL), GLOBAL(*MODEL), name),
    }
    assert {(hit.rule, hit.evidence["reference"]) for hit in hits(asm.pickle(bodies[opcode]))} == {
        ("pickle-unknown-call", ".".join(MODEL))
    }


def test_what_a_reconstructor_makes_is_of_its_class() -> None:
    """An attribute of an object of protocol 0 is one of its class: a harmless one silent, a dangerous one not."""
    cls = asm.Raw(asm.global_("sklearn.svm._classes", "SVC"))
    made = asm.calls("copyreg", "_reconstructor", cls, asm.Raw(asm.global_("builtins", "object")), None)
    assert hits(call("builtins:getattr", made, "predict", protocol=0)) == []
    (found,) = (hit for hit in hits(call("builtins:getattr", made, "__globals__", protocol=0)))
    assert (found.rule, found.evidence["function"]) == ("pickle-import", "SVC.__globals__")


EVAL = asm.global_("dill._dill", "_eval_repr")
RANGE = asm.call(EVAL + asm.binput(0), asm.text("xrange(0, 3)", 2)) + asm.call(
    asm.binget(0), asm.text("range(-1, 9, 2)", 2)
)


def test_dill_evaluates_a_literal_in_peace() -> None:
    """Ranges are called by their representation in dill's files; each text must be one, and no use other than that."""
    assert hits(asm.pickle(RANGE + b"\x86", 2)) == []
    for text in ("range(0, print(1))", "__import__('os')", "range(0, 3) or print(1)", "range(0, 3)\n"):
        assert {"pickle-import", "pickle-call"} <= rules(asm.pickle(asm.call(EVAL, asm.text(text, 2)), 2))
        assert "pickle-import" in rules(asm.pickle(RANGE + asm.call(asm.binget(0), asm.text(text, 2)) + b"\x87", 2))
    for use in (asm.binget(0), asm.binget(0) + b"\x85", asm.binget(0) + b"0", asm.binget(0) + b"20\x86", EVAL):
        assert "pickle-import" in rules(asm.pickle(RANGE + use, 2))


# --- codecs -----------------------------------------------------------------------------------------------------

SEALED = """
import encodings, pickle, pkgutil, sys
from modelaudit.blob import BytesBlob
from modelaudit.limits import Limits
from modelaudit.scanners import pickle as scanner
from tests.scanners.test_pickle import decoded

names = sorted(module.name for module in pkgutil.iter_modules(encodings.__path__)) + ["UTF 8", "no such codec", "L1"]
scanner.warm()

def refuse(event, arguments):
    if event in ("open", "import"):
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(refuse)
for name in names:
    for data in (b"6f73", "bf", r"\N{LATIN SMALL LETTER O}s"):
        assert list(scanner.scan(BytesBlob(decoded(data, name)), Limits())), name
print("sealed")
"""


def decoded(data: str | bytes, codec: str) -> bytes:
    """A call of a function whose module's name is in the codec, and in UTF-8 where that gives bytes."""
    inner = asm.calls("_codecs", "decode", data, codec)
    name = asm.literal(asm.calls("_codecs", "decode", inner) if codec in ("hex", "Base64") else inner, 4)
    return bare(asm.call(name + asm.text("system", 4) + asm.STACK_GLOBAL, asm.text("echo sample", 4)))


def test_no_codec_is_loaded_by_what_a_stream_asks_for() -> None:
    """Once `warm` was called no name of a codec, known or not, makes the scanner import or open anything."""
    done = subprocess.run([sys.executable, "-c", SEALED], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("sealed\n", "")


CODED = {
    "hex": b"6f73",
    "rot13": "bf",
    "Base64": b"b3M=",
    "utf-7": b"os",
    "cp037": b"\x96\xa2",
    "unicode_escape": rb"\x6f\163",
}


@pytest.mark.parametrize("codec", CODED)
def test_a_name_in_a_codec_that_is_done_is_read(codec: str) -> None:
    """The module's name comes out, and the call is judged by it."""
    assert {"pickle-import", "pickle-call"} <= rules(decoded(CODED[codec], codec))


def test_a_name_in_another_codec_is_told_of() -> None:
    """A codec that is not done leaves the name unknown, and calling it is critical."""
    (found,) = (hit for hit in hits(decoded(b"os", "gb18030")) if hit.severity is Severity.CRITICAL)
    assert found.rule == "pickle-computed"
