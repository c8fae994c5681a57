"""Compiled Python: code that a model carries is judged by what it calls, a `.pyc` by what it does on import."""

import marshal
import zlib
from pathlib import Path

import pytest

from modelaudit import catalogue
from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit, Severity
from modelaudit.scanners.python_bytecode import fits, judge, scan
from tests.samples import compiled

LIMITS = Limits()


def carried(source: str, mode: str = "eval") -> bytes:
    """A code object as a Lambda layer keeps it."""
    return marshal.dumps(compile(source, "<x>", mode))


def module(source: str) -> bytes:
    """A `.pyc` as Python 3.11 writes it."""
    return b"\xa7\x0d\r\n" + bytes(12) + marshal.dumps(compile(source, "f.py", "exec"))


def items(data: bytes) -> list[Hit | Child]:
    return list(scan(BytesBlob(data), LIMITS))


def rules(data: bytes) -> set[str]:
    return {item.rule for item in items(data) if isinstance(item, Hit)} - {"python-bytecode-file"}


FIRING: dict[str, tuple[list[bytes], bytes]] = {
    "python-bytecode-call": (
        [
            *(compiled.calls(version, "os", "system", "echo") for version in compiled.VERSIONS),
            carried("lambda x: __import__('os').system('echo')"),
            carried("lambda x: exec('x = 1') or x"),
            carried("lambda x: open('/etc/hostname').read()"),
            carried("lambda x: [b for b in x.__class__.__base__.__subclasses__()]"),
            carried("lambda x: keras.utils.os.popen('echo')"),
            carried("lambda x: np.load('a.npy', allow_pickle=True)"),
            carried("def f(x):\n from subprocess import Popen as relu\n return relu(['echo'])", "exec"),
            carried("def f(x):\n import os as np\n return (lambda: np.system('echo'))()", "exec"),
            carried("lambda x: sys.modules['os'].system('echo')"),
        ],
        carried("lambda x, a=1: tf.math.sin(K.eval(x) * os.path.sep.count('/')) + K.int_shape(x)[0] ** len(x.system)"),
    ),
    "python-bytecode-tensorflow": (
        [
            carried("lambda x: tf.io.write_file('a', x)"),
            carried("lambda x: ops.py_function(f, [x], 1)"),
            carried("lambda x: K.tf.raw_ops.ReadFile(filename='a')"),
        ],
        carried("lambda x: tf.io.decode_png(x) + tf.reshape(x, [-1])"),
    ),
    "python-bytecode-disguised": (
        [compiled.code("3.10", [("return", 0)], ("exec",)), compiled.code("3.13", [("return", 0)], ("os", "system"))],
        compiled.code("3.10", [("return", 0)], ("relu", "open_door")),
    ),
    "python-bytecode-module": (
        [
            module("import os\nos.system('echo')"),
            module("exec('1')"),
            module("import marshal, zlib\nexec(marshal.loads(zlib.decompress(b'x')))"),
        ],
        module("import os, subprocess\ndef f():\n  os.system('echo')\n  exec('1')\np = os.path.join('a', 'b')"),
    ),
}


@pytest.mark.parametrize("rule", FIRING)
def test_each_rule_fires_on_its_samples_and_not_on_the_near_miss(rule: str) -> None:
    """Every sample brings the rule; the near miss brings nothing at all."""
    samples, near = FIRING[rule]
    for sample in samples:
        assert rule in rules(sample), sample
    assert rules(near) == set()


def test_all_rules_have_a_sample() -> None:
    """No rule of the catalogue is without one, here or below."""
    known = {rule for rule in catalogue.load().rules if rule.startswith("python-bytecode-")}
    assert known == {*FIRING, "python-bytecode-unreadable", "python-bytecode-file"}


def test_what_cannot_be_read_is_said_and_then_raised() -> None:
    """Bytes that stand where code should, and code that is nested without end, are findings of their own."""
    for data, error in ((b"\xe3" + bytes(40), ParseError), (b"c" + bytes(20) + b"(\1\0\0\0" * 9999, LimitExceeded)):
        found = scan(BytesBlob(data), LIMITS)
        hit = next(found)
        assert isinstance(hit, Hit) and hit.rule == "python-bytecode-unreadable"
        with pytest.raises(error):
            next(found)


def test_a_compiled_file_is_known_by_its_header() -> None:
    """A `.pyc` is identified whatever its name, and told of; code without a header is only ever a child."""
    data = module("x = 1")
    assert fits(BytesBlob(data), LIMITS)
    assert not fits(BytesBlob(carried("1")), LIMITS)
    (hit,) = items(data)
    assert isinstance(hit, Hit) and hit.evidence["version"] == "3.11"
    found = inspect(BytesBlob(data))
    assert (found.formats, found.status) == (("python_bytecode",), "scanned")


def test_a_module_that_runs_what_it_decodes_is_critical() -> None:
    """exec alone is a warning; exec of something decoded is how obfuscated modules begin."""
    (hit,) = [item for item in items(module("exec('1')")) if isinstance(item, Hit) and item.rule.endswith("module")]
    assert hit.severity is None
    packed = module("import base64\nexec(base64.b64decode('cHJpbnQoMSk='))")
    assert any(item.severity is Severity.CRITICAL for item in items(packed) if isinstance(item, Hit))


def test_text_that_is_run_and_bytes_that_are_loaded_are_children() -> None:
    """The text of exec is source, and bytes that begin as a pickle or a stream are looked at for what they are."""
    text = "import os; os.system('echo')"
    children = [item for item in items(carried(f"lambda x: exec({text!r})")) if isinstance(item, Child)]
    assert [(child.data, child.format) for child in children] == [(text.encode(), "python_source")]
    payload = b"\x80\x04\x95" + bytes(20)
    children = [item for item in items(carried(f"lambda x: f({payload!r})")) if isinstance(item, Child)]
    assert [(child.data, child.format) for child in children] == [(payload, None)]
    assert [item for item in items(carried("lambda x: x + 'import os; os.system(1)'"))] == []


def test_the_finding_says_where() -> None:
    """The offset is that of the instruction, behind the header of a file too."""
    data = compiled.calls("3.10", "os", "system", "echo")
    (hit,) = items(data)
    assert isinstance(hit, Hit) and hit.offset is not None
    assert data[hit.offset :].startswith(b"\x74\x00\xa0\x01")
    assert hit.evidence["path"] == "posix.system"
    assert "echo" in str(hit.evidence["given"])


@pytest.mark.parametrize(
    "path", ["logging.info", "os.path.join", "os.environ", "sys.maxsize", "K.eval", "len", "tf.io"]
)
def test_names_with_good_uses(path: str) -> None:
    """What a pickle has no use for and a layer may have is nothing."""
    assert judge(path) is None


def test_ordinary_compiled_files_are_silent() -> None:
    """Installed libraries bring no more than the word that they are compiled."""
    count = 0
    for path in sorted(Path(pytest.__file__).parent.parent.glob("_pytest/**/*.pyc"))[:60]:
        assert rules(path.read_bytes()) == set(), path
        count += 1
    assert count > 20


def test_nothing_is_unpacked_here() -> None:
    """Constants go out as they are: unpacking is the engine's."""
    stream = zlib.compress(b"print(1)" * 10)
    children = [
        item for item in items(carried(f"lambda x: f({b'PK' + bytes((3, 4)) + stream!r})")) if isinstance(item, Child)
    ]
    assert [child.codec for child in children] == ["stored"]
