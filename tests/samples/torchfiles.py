"""The layouts of torch files, and what hides in them (B038, B045, B049, B050, B051, B052)."""

import struct
from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, calls, literal, pickle, stack_global
from tests.samples.sample import UNPROVEN, Payload, Row, Sample, rows
from tests.samples.torchparts import (
    MAGIC,
    SYSTEM,
    hostile_zip,
    legacy,
    legacy_tensor,
    parts,
    state_dict,
    tar,
    tensor,
    torch_zip,
)
from tests.samples.zipwriter import Entry, archive


def hidden() -> Iterator[Sample]:
    """A hostile pickle in a member that is not the first data.pkl (B045)."""
    benign = pickle(state_dict(), 2)
    names = (
        "archive/constants.pkl",
        "archive/extra.pkl",
        "archive/data.PKL",
        "archive/data.pkl.bak",
        "archive/config",
        "archive/data/1",
        "archive/.data/ts_code/code_table",
        "archive/model.bin",
        "archive/README.md",
        "archive/image.png",
        "archive/deep/er/still/deeper/weights",
        "other/data.pkl",
        "data.pkl",
        "archive/\u00e9\u4e2d.pkl",
        "archive/ .pkl",
        "__MACOSX/archive/._data.pkl",
    )
    for index, name in enumerate(names):
        yield Sample(
            f"B045-member-{index:02d}",
            "B045",
            "pytorch_model.bin",
            lambda p, name=name: archive([*parts(benign), Entry(name, p.pickle())]),
            f"A hostile pickle in the member {name!r} of a torch zip.",
            loader="zip",
        )
    for name in ("first", "only"):
        yield Sample(
            f"B045-{name}-member-without-root",
            "B045",
            "model.pt",
            lambda p, name=name: archive([Entry("x.pkl", p.pickle(2)), *(parts(benign) if name == "first" else [])]),
            f"The hostile pickle is the {name} member.",
            loader="zip",
        )
    yield Sample(
        "B045-deflated",
        "B045",
        "model.pt",
        lambda p: archive(
            [
                Entry("archive/data.pkl", pickle(state_dict(literal("x", 2), p.call(2)), 2), method=8),
                *parts(benign)[1:],
            ]
        ),
        "data.pkl is deflated, which torch itself never does.",
        loader="zip-directory",
    )


OLD: tuple[tuple[str, object, str], ...] = (
    ("magic-by-eval", lambda p: legacy(literal({}, 2), magic=_eval_magic(p)), "The magic number is what eval gives."),
    ("protocol-pickle", lambda p: legacy(literal({}, 2), protocol=p.call(2)), "The second pickle makes the call."),
    ("system-pickle", lambda p: legacy(literal({}, 2), system=p.call(2)), "The third pickle makes the call."),
    ("object-pickle", lambda p: legacy(literal({"x": Raw(p.call(2))}, 2)), "The fourth pickle makes the call."),
    (
        "object-with-tensor",
        lambda p: legacy(
            asm.EMPTY_DICT + asm.MARK + literal("w", 2) + legacy_tensor() + literal("x", 2) + p.call(2) + b"u",
            keys=("0",),
        ),
        "A tensor and the call, as in a real checkpoint.",
    ),
    (
        "keys-pickle",
        lambda p: legacy(literal({}, 2))[: -len(pickle(literal([], 2), 2))] + p.pickle(2),
        "The fifth pickle, which lists the storages, makes the call.",
    ),
    (
        "sixth-pickle",
        lambda p: legacy(literal({}, 2)) + p.pickle(2),
        "A sixth pickle after an empty list of storages: a second torch.load on the open file runs it.",
    ),
)


def _eval_magic(payload: Payload) -> bytes:
    """eval of an expression that makes the call and gives the magic number."""
    return call(asm.global_("builtins", "eval"), literal(f"[{payload.source}, {MAGIC}][1]", 2))


def old_formats() -> Iterator[Sample]:
    """The formats before zip (B049)."""
    for name, build, why in OLD:
        for filename in ("model.pt", "model.bin"):
            yield Sample(
                f"B049-{name}-{filename[6:]}",
                "B049",
                filename,
                build,  # type: ignore[arg-type]
                why,
                loader="torch-legacy",
            )
    yield Sample(
        "B049-after-storages",
        "B049",
        "model.pt",
        lambda p: legacy(asm.EMPTY_DICT + literal("w", 2) + legacy_tensor() + b"s", keys=("0",)) + p.pickle(2),
        f"A pickle after the raw storages.{UNPROVEN}it needs a loader that goes on after the storages.",
        loader="",
    )
    for member in ("pickle", "storages", "tensors"):
        plain = {"sys_info": pickle(literal(SYSTEM, 2), 2), "pickle": pickle(literal({}, 2), 2)}
        plain |= {"storages": pickle(literal(0, 2), 2) + pickle(asm.EMPTY_LIST, 2), "tensors": pickle(literal(0, 2), 2)}
        yield Sample(
            f"B049-tar-{member}",
            "B049",
            "model.tar",
            lambda p, member=member, plain=plain: tar({**plain, member: p.pickle(2)}),
            f"The oldest format is a tar; its member {member!r} makes the call.",
            loader="torch-tar",
        )
    yield Sample(
        "B038-pickle-then-zip",
        "B038",
        "model.pt",
        lambda p: p.pickle(2) + torch_zip(pickle(state_dict(), 2)),
        "zipfile finds the harmless zip at the end; torch looks at the first bytes and loads the pickle.",
    )
    yield Sample(
        "B038-legacy-then-zip",
        "B038",
        "model.pt",
        lambda p: legacy(literal({"x": Raw(p.call(2))}, 2)) + torch_zip(pickle(state_dict(), 2)),
        "The same with a whole legacy checkpoint.",
        loader="torch-legacy",
    )
    yield Sample(
        "B038-protocol0-then-zip",
        "B038",
        "model.bin",
        lambda p: p.pickle(0) + torch_zip(pickle(state_dict(), 2)),
        "The same with a text pickle.",
    )


SCRIPT = b"""class Net(Module):
  def forward(self, x: Tensor) -> Tensor:
    %s
    return x
"""


def script(statement: str, name: str = "code/__torch__.py") -> bytes:
    """A TorchScript archive whose code holds `statement`."""
    return archive(
        [
            Entry("net/data.pkl", pickle(call(asm.global_("__torch__", "Net")) + literal({}, 2) + asm.BUILD, 2)),
            Entry(f"net/{name}", SCRIPT % statement.encode()),
            Entry("net/constants.pkl", pickle(asm.EMPTY_TUPLE, 2)),
            Entry("net/version", b"3\n"),
        ]
    )


def scripted() -> Iterator[Sample]:
    """TorchScript, torch.package and exported programs (B050), TorchServe (B052)."""
    no_torch = f"{UNPROVEN}torch is not among the test dependencies."
    statements = (
        ("aten-save", "ops.aten.save(x, '/tmp/modelaudit-sample')", "critical"),
        ("torch-save", "torch.save(x, '/tmp/modelaudit-sample')", "critical"),
        ("from-file", "y = torch.from_file('/etc/passwd', False, 100)", "critical"),
        ("aten-from-file", "y = ops.aten.from_file('/etc/passwd', True, 100)", "critical"),
        ("setstate", "def __setstate__(self, s: int) -> NoneType:\n    torch.save(s, '/tmp/x')", "critical"),
    )
    for name, statement, expect in statements:
        yield Sample(
            f"B050-script-{name}",
            "B050",
            "model.pt",
            lambda _, statement=statement: script(statement),
            f"TorchScript code that reads or writes files (CVE-2025-32434).{no_torch}",
            expect=expect,
            loader="",
        )
    for member in ("constants.pkl", "bytecode.pkl", "mobile_debug_handles.pkl", "code/__torch__.py.debug_pkl"):
        yield Sample(
            f"B050-{member.split('.')[0].replace('/', '-').replace('_', '')}-pickle",
            "B050",
            "model.ptl",
            lambda p, member=member: archive(
                [
                    Entry("net/data.pkl", pickle(literal({}, 2), 2)),
                    Entry("net/version", b"3\n"),
                    Entry(f"net/{member}", p.pickle(2)),
                ]
            ),
            f"The call is in {member}.",
            loader="zip",
        )
    yield Sample(
        "B050-package-source",
        "B050",
        "package.pt",
        lambda p: archive(
            [
                Entry("package/.data/extern_modules", b"os\nsys\n"),
                Entry("package/.data/version", b"6\n"),
                Entry("package/model/__init__.py", f"import os\n{p.source}\n".encode()),
                Entry("package/model/model.pkl", pickle(calls("model", "Net"))),
            ]
        ),
        f"torch.package imports the Python source that the archive carries.{no_torch}",
        expect="warning",
        loader="",
    )
    yield Sample(
        "B050-package-pickle",
        "B050",
        "package.pt",
        lambda p: archive(
            [
                Entry("package/.data/extern_modules", b"os\n"),
                Entry("package/.data/version", b"6\n"),
                Entry("package/model/model.pkl", p.pickle()),
            ]
        ),
        "The pickle of a torch.package makes the call.",
        loader="zip",
    )
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQ", 3, 62, 1, 0, 64, 0) + bytes(64)
    yield Sample(
        "B050-aotinductor-library",
        "B050",
        "model.pt2",
        lambda _: archive(
            [
                Entry("model/archive_format", b"pt2"),
                Entry("model/data/aotinductor/model/model.so", elf),
                Entry("model/version", b"0\n"),
            ]
        ),
        f"An exported program carries a shared library that loading runs.{no_torch}",
        expect="warning",
        loader="",
    )
    manifest = b'{"model": {"modelName": "m", "serializedFile": "model.pt", "handler": "handler.py"}}'
    yield Sample(
        "B052-mar-model",
        "B052",
        "model.mar",
        lambda p: archive([Entry("MAR-INF/MANIFEST.json", manifest), Entry("model.pt", hostile_zip(p), method=8)]),
        f"A TorchServe archive whose model makes the call.{UNPROVEN}it is one zip inside another.",
        loader="",
    )
    yield Sample(
        "B052-mar-handler",
        "B052",
        "model.mar",
        lambda p: archive(
            [Entry("MAR-INF/MANIFEST.json", manifest), Entry("handler.py", f"import os\n{p.source}\n".encode())]
        ),
        f"A TorchServe archive whose handler makes the call when it is imported.{no_torch}",
        expect="warning",
        loader="",
    )


CORRUPTING: tuple[Row, ...] = (
    (
        "setitem-on-tensor",
        lambda _: torch_zip(pickle(tensor("0") + literal(0, 2) + literal(1, 2) + asm.SETITEM, 2)),
        "SETITEM on a tensor under weights_only (CVE-2026-24747).",
    ),
    (
        "setitems-on-tensor",
        lambda _: torch_zip(
            pickle(tensor("0") + asm.MARK + literal(0, 2) + literal(1, 2) + literal(2, 2) + literal(3, 2) + b"u", 2)
        ),
        "SETITEMS on a tensor under weights_only.",
    ),
    (
        "storage-larger-than-file",
        lambda _: torch_zip(pickle(literal({"w": tensor("0", (1000, 1000), 1_000_000)}, 2), 2)),
        "The persistent id promises a million numbers, the storage holds four.",
    ),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from old_formats()
    yield from hidden()
    yield from scripted()
    for sample in rows("B051", CORRUPTING, filename="model.pt", expect="warning"):
        yield Sample(
            sample.id,
            sample.bypass,
            sample.filename,
            sample.build,
            sample.why + f"{UNPROVEN}it corrupts memory and calls nothing.",
            expect="warning",
            loader="",
        )
    yield Sample(
        "B033-torch-storage-call",
        "B033",
        "model.pt",
        lambda p: torch_zip(
            pickle(literal({"w": Raw(literal(("storage", Raw(p.call(2)), "0", "cpu", 4), 2) + asm.BINPERSID)}, 2), 2)
        ),
        "The storage type in a torch zip is a call.",
        loader="zip-directory",
    )
    yield Sample(
        "B022-torch-broken-pickle",
        "B022",
        "pytorch_model.bin",
        lambda p: torch_zip(pickle(p.call(2) + asm.POP + state_dict(), 2)[:-9] + b"\xff\xfe"),
        "The call comes first, then the pickle in the zip breaks off (nullifAI).",
        loader="zip-directory",
    )
    yield Sample(
        "B031-torch-many-tensors",
        "B031",
        "pytorch_model.bin",
        lambda p: torch_zip(pickle(state_dict(literal("z", 2), p.call(2), layers=300), 2), layers=300),
        "Three hundred honest tensors around one call.",
        loader="zip-directory",
    )
    yield Sample(
        "B017-torch-stack-global",
        "B017",
        "model.pt",
        lambda p: torch_zip(pickle(state_dict(literal("z", 2), call(stack_global(p.module, p.name), p.text())), 2)),
        "Opcodes of protocol 4 in a torch pickle of protocol 2.",
        loader="zip-directory",
    )
