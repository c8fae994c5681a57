"""What mutations start from: the samples of a format, attacks and ordinary ones, and small files made here."""

import io
import json
import lzma
import marshal
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain

from modelaudit.blob import BytesBlob
from modelaudit.engine import default_engine
from modelaudit.limits import KIB, Limits
from tests import samples
from tests.samples import chat_templates, compiled, licensefiles, sources
from tests.samples.protowriter import number
from tests.samples.protowriter import text as field
from tests.samples.sample import HARM

_SEED_BYTES = 32 * KIB
_MOST = 40  # seeds of one format, evenly chosen among all


def _coreml() -> Iterator[bytes]:
    layer = field(1, b"conv") + field(140, bytes(64))
    network = number(1, 4) + field(2, field(1, field(1, b"image"))) + field(500, field(1, layer))
    yield network
    yield number(1, 4) + field(2, b"") + field(202, field(1, network) + field(2, b"a"))
    yield number(1, 4) + field(2, b"") + field(555, field(10, b"MyClass"))
    yield number(1, 4) + field(2, b"") + field(556, field(1, field(10, b"../other.mlmodel")))


def _executable() -> Iterator[bytes]:
    pe = b"MZ" + bytes(58) + struct.pack("<I", 128) + bytes(64) + b"PE\0\0" + struct.pack("<H", 0x8664)
    yield pe + bytes(200)
    yield b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, 62) + bytes(100) + HARM.pickle()
    yield b"\xcf\xfa\xed\xfe" + struct.pack("<III", 0x01000007, 3, 2) + bytes(100)
    yield b"\xca\xfe\xba\xbe" + struct.pack(">II", 2, 0x01000007) + bytes(100)


def _ggml() -> Iterator[bytes]:
    for magic in (b"tjgg", b"algg", b"lmgg", b"fmgg"):
        out = magic + (b"" if magic == b"lmgg" else struct.pack("<I", 3)) + struct.pack("<7I", 3, 32, 256, 4, 1, 8, 0)
        for word in (b"<unk>", b"a", b"b"):
            out += struct.pack("<I", len(word)) + word + struct.pack("<f", 0.5)
        for name, shape, kind, length in ((b"tok", (32, 3), 0, 384), (b"w", (32, 2), 2, 36)):
            out += struct.pack(f"<3I{len(shape)}I", len(shape), len(name), kind, *shape) + name
            out += bytes(-len(out) % 32) * (magic in (b"tjgg", b"algg")) + bytes(length)
        yield out


def _jinja() -> Iterator[bytes]:
    for text in chat_templates.ORDINARY.values():
        yield text.encode()
    yield b"{{ ''.__class__.__mro__[1].__subclasses__() }}{% set x = x ~ x %}{% for i in range(10**9) %}{% endfor %}"
    yield b"{% macro f(a, b=1) %}{{ a|attr('__in' ~ 'it__') }}{% endmacro %}{% include '../x' %}{{ f(*[1], **{}) }}"


def _lzip() -> Iterator[bytes]:
    for data in (HARM.pickle(), bytes(1000)):
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}]
        body = lzma.compress(data, format=lzma.FORMAT_ALONE, filters=filters)[13:]
        yield b"LZIP\x01\x10" + body + struct.pack("<IQQ", zlib.crc32(data), len(data), len(body) + 26)


def _python_bytecode() -> Iterator[bytes]:
    for version in compiled.VERSIONS:
        yield compiled.calls(version, "os", "system", "echo")
    for source in (sources.MODELLING, "f = lambda x, *y, z=1: [each for each in x if each]\nexec('x = 1')"):
        code = marshal.dumps(compile(source, "f.py", "exec"))
        yield code
        yield b"\xa7\x0d\r\n" + bytes(12) + code


def _python_source() -> Iterator[bytes]:
    for text in sources.ORDINARY.values():
        yield text.encode()
    for group in (sources.DECODED, sources.HIDDEN, sources.STARTED):
        yield from (text.encode() for text in (group.values() if isinstance(group, dict) else group))


def _skops() -> Iterator[bytes]:
    node = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": None}
    listed = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [node], "protocol": 1}
    text = json.dumps(listed, indent=2).encode()
    yield text
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr(zipfile.ZipInfo("schema.json"), text, method)
        yield out.getvalue()


def _torchscript() -> Iterator[bytes]:
    head = "class Net(Module):\n  __parameters__ = []\n  training : bool\n"
    head += "  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n"
    yield f'{head}    torch.save(x, "/tmp/x")\n    y = ops.aten.Float(x)  # note\n    return x\n'.encode()
    yield f"{head}    y = torch.unsqueeze((self.l).forward(x, ), 1)\n    if bool(y):\n      pass\n".encode()


def _license() -> Iterator[bytes]:
    yield from (licensefiles.MIT, licensefiles.ZERO_BSD, licensefiles.MIT + licensefiles.ZERO_BSD, licensefiles.PROSE)
    yield b"LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\n\nYou agree. https://opensource.org/licenses/MIT\n"


def _model_card() -> Iterator[bytes]:
    yield licensefiles.card("license: other\nlicense_name: llama3.1\ndatasets:\n- a/b")
    yield licensefiles.card("license: [mit, (apache-2.0 or gpl-2.0+ with classpath-exception-2.0)]")
    yield licensefiles.card("task_categories: [x]")


def _package_metadata() -> Iterator[bytes]:
    yield licensefiles.metadata("License-Expression: MIT OR (Apache-2.0 AND LicenseRef-x)")
    yield licensefiles.metadata("License: " + licensefiles.MIT.decode().replace("\n", "\n        "))


_MADE: dict[str, Callable[[], Iterator[bytes]]] = {
    "coreml": _coreml,
    "executable": _executable,
    "ggml": _ggml,
    "jinja": _jinja,
    "license": _license,
    "lzip": _lzip,
    "model_card": _model_card,
    "package_metadata": _package_metadata,
    "python_bytecode": _python_bytecode,
    "python_source": _python_source,
    "skops": _skops,
    "torchscript": _torchscript,
}


def _plain(format_id: str) -> Iterator[bytes]:
    """For a format without samples: its signatures before zeros, and JSON and text that name nothing."""
    for signature in default_engine().catalogue.formats[format_id].signature:
        yield bytes(max(0, signature.offset)) + signature.magic + bytes(300)
    yield json.dumps({"layers": [{"digest": "sha256:" + "0" * 64, "size": 3, "mediaType": "x"}], "model": {}}).encode()
    yield b"name: value\nlist:\n- 1\n- other: true\n"


@cache
def _sampled() -> dict[str, tuple[bytes, ...]]:
    """The samples by the formats that they are found to be, each sorted and without doubles."""
    found: dict[str, set[bytes]] = {}
    for sample in chain(samples.hostile(), samples.ordinary()):
        data = sample.data[:_SEED_BYTES]
        for format in default_engine().formats_of(BytesBlob(data), Limits()):
            found.setdefault(format.id, set()).add(data)
    return {format_id: tuple(sorted(each)) for format_id, each in found.items()}


def seeds(format_id: str) -> list[bytes]:
    """Up to 40 small files of the format and what was made for it here, in an order that is always the same."""
    made = list(_MADE.get(format_id, lambda: _plain(format_id))())
    known = [*_sampled().get(format_id, ())]
    step = max(1, -(-len(known) // _MOST))
    return made + known[::step]
