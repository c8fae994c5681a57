"""Python files beside models: what attacks on them look like, and ordinary modelling code, handlers and scripts.

The hostile ones are harmless in effect: they name programs with `echo modelaudit-sample`, and nobody runs them.
"""

import base64
import codecs
import zlib

_CODE = b"import os; os.system('echo modelaudit-sample')"
_B64 = base64.b64encode(_CODE).decode()
_ZIP = base64.b64encode(zlib.compress(_CODE)).decode()
_ECHO = "'echo modelaudit-sample'"

# Ways to start a program on import, under every name that it can have.
STARTED = (
    f"import os\nos.system({_ECHO})",
    f"import os as o\no.system({_ECHO})",
    f"from os import system as s\ns({_ECHO} + ' > x')",
    f"import os\nf = os.system\nf({_ECHO} + '; true')",
    f"import os\na, b = os.system, 1\na({_ECHO})",
    f"import os\n(f := os.system)({_ECHO})",
    f"import os\nfor f in (os.system,):\n    f({_ECHO})",
    f"import os\ntable = {{'a': os.system}}\ntable['a']({_ECHO})",
    f"import os\nglobals().update(z=os.system)\nz({_ECHO})",
    f"import os\ngetattr(os, 'system')({_ECHO})",
    f"from os import *\nsystem({_ECHO})",
    f"import pathlib\npathlib.os.system({_ECHO})",
    f"def f():\n    import os\n    return os\nf().system({_ECHO})",
    f"import functools, os\nfunctools.partial(os.system, {_ECHO})()",
    f"import os\ndef wrap(f):\n    os.system({_ECHO})\n    return f\n@wrap\ndef g(): pass",
    f"import os\nclass A:\n    os.system({_ECHO})",
    f"import os\nclass A:\n    def __init__(self): self.run()\n    def run(self): os.system({_ECHO})\nA()",
    f"import os\nclass A:\n    run = os.system\n    def f(self): self.run({_ECHO})\nA().f()",
    f"import os\nclass M(type):\n    def __new__(c, *a):\n        os.system({_ECHO})\nclass A(metaclass=M): pass",
    f"import os\nclass B:\n    def __init_subclass__(c): os.system({_ECHO})\nclass A(B): pass",
    f"import os\ndef g(f=os.system): f({_ECHO})\ng()",
    f"import os\n(lambda f=os.system: f({_ECHO}))()",
    f"import os\ndef a(): b()\ndef b(): os.system({_ECHO})\na()",
    f"import os\nif True:\n    try:\n        os.system({_ECHO})\n    except Exception: pass",
    f"import threading, os\nthreading.Thread(target=os.system, args=({_ECHO},)).start()",
    f"import threading, os\ndef p(): os.system({_ECHO})\nthreading.Thread(target=p).start()",
    f"import atexit, os\natexit.register(os.system, {_ECHO})",
    f"import os\nlist(map(os.system, [{_ECHO}]))",
    "import subprocess\nwith subprocess.Popen(['sh', 'x']) as p: pass",
    "import asyncio\nasync def f(): await asyncio.create_subprocess_shell('x')\nasyncio.run(f())",
    "import os\nexec(\"os.system('x')\")",
    "exec('import os; os.system(1)')",
    "import torch\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        import os\n        os.system('x')",
    "import os\nclass EndpointHandler:\n    def __init__(self, path=''): os.system('x')",
    f"import os\ndef f(run, what): run(what)\nf(os.system, {_ECHO})",
    f"import os\nclass A:\n    def __init__(self, run): run({_ECHO})\nA(os.system)",
    f"import os\nclass A:\n    @property\n    def p(self): return os.system({_ECHO})\nA().p",
    f"import os\nclass A:\n    def __add__(self, other): os.system({_ECHO})\nA() + 1",
    f"import os\nclass D:\n    def __set_name__(self, owner, name): os.system({_ECHO})\nclass A:\n    d = D()",
    f"import os\nA = type('A', (), {{'__init__': lambda self: os.system({_ECHO})}})\nA()",
    f"import os\ndef g(f):\n    os.system({_ECHO})\n    return lambda c: c\n@g(1)\nclass A: pass",
    f"import os\ndef f(name): getattr(os, name)({_ECHO})\nf('path')\nf('system')",
    f"import os, sys\nclass F:\n    def find_spec(self, *a): os.system({_ECHO})\nsys.meta_path.insert(0, F())",
    f"import ctypes\nctypes.CDLL(None).system(b{_ECHO})",
    f"import os\nif __name__ != '__main__':\n    os.system({_ECHO})",
)
# Functions reached by names that nobody reads.
HIDDEN = (
    f"__import__('os').system({_ECHO})",
    f"__import__('o' + 's').system({_ECHO})",
    f"def f():\n    __import__('os').system({_ECHO})",
    f"import os\ngetattr(os, 'sys' + 'tem')({_ECHO})",
    f"import os\ngetattr(os, 'metsys'[::-1])({_ECHO})",
    f"import os\ngetattr(os, ''.join(['sys', 'tem']))({_ECHO})",
    f"import os\ngetattr(os, '%stem' % 'sys')({_ECHO})",
    f"import os\ngetattr(os, f\"{{'sys'}}tem\")({_ECHO})",
    f"import os\ngetattr(os, bytes.fromhex('73797374656d').decode())({_ECHO})",
    f"import importlib\nimportlib.import_module('os').system({_ECHO})",
    f"import os\nglobals()['os'].system({_ECHO})",
    f"import os\nos.__dict__['system']({_ECHO})",
    f"import os\nvars(os)['system']({_ECHO})",
    f"import sys\nsys.modules['os'].system({_ECHO})",
    f"import operator, os\noperator.attrgetter('system')(os)({_ECHO})",
    f"import operator, os\noperator.methodcaller('system', {_ECHO})(os)",
    "''.__class__.__base__.__subclasses__()",
    "globals()['__builtins__']['eval']('1')",
    "getattr(__builtins__, 'ex' + 'ec')('1')",
    f"().__class__.__bases__[0].__subclasses__()[9].__init__.__globals__['system']({_ECHO})",
)
# Code that is packed away or fetched, and run.
DECODED = (
    f"exec(__import__('base64').b64decode('{_B64}'))",
    f"import base64\nexec(base64.b64decode('{_B64}'))",
    f"import base64 as q, zlib\nexec(zlib.decompress(q.b64decode('{_ZIP}')).decode())",
    f"from base64 import b64decode as d\ncode = d('{_B64}')\ndef f():\n    exec(code)",
    "import base64\ndef get():\n    return base64.b64decode(open('x').read())\nexec(get())",
    f"exec(bytes.fromhex('{_CODE.hex()}'))",
    "exec(''.join(chr(c) for c in [112, 114, 105, 110, 116, 40, 49, 41]))",
    "exec(''.join(map(chr, [112, 114, 105, 110, 116, 40, 49, 41])))",
    "exec(''.join(chr(ord(c) ^ 1) for c in 'qshou)0('))",
    "exec('im' + 'port o' + 's;' + chr(111) + 's.system(1)')",
    f"import codecs\nexec(codecs.decode({codecs.encode(_CODE.decode(), 'rot13')!r}, 'rot13'))",
    "import requests\nexec(requests.get('http://127.0.0.1').text)",
    "import urllib.request as u\ndef f(m):\n    exec(u.urlopen('http://127.0.0.1').read())",
    "import marshal, base64\nexec(marshal.loads(base64.b64decode('AAAA')))",
    "import pickle, base64\npickle.loads(base64.b64decode('AAAA'))",
    "import socket\ns = socket.socket()\ndef f():\n    exec(s.recv(1024))",
    f"import base64\ndef run(text): exec(text)\nrun(base64.b64decode('{_B64}'))",
)

MODELLING = '''"""A small transformer."""
from __future__ import annotations

import importlib.util
import math
import os
import pickle
import sys
from functools import partial
from typing import Optional

import torch
from torch import nn

if importlib.util.find_spec("flash_attn"):
    from flash_attn import flash_attn_func

_CACHE = os.environ.get("MODEL_CACHE", os.path.expanduser("~/.cache"))
ACT2FN = {"gelu": nn.GELU, "tanh": partial(nn.GELU, approximate="tanh")}


class TinyConfig(PretrainedConfig):
    def __init__(self, hidden_size: int = 64, act: str = "gelu", **kwargs):
        self.hidden_size = hidden_size
        super().__init__(**kwargs)


class TinyModel(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.act = ACT2FN[config.act]()
        self.system = nn.Linear(config.hidden_size, config.hidden_size)
        self.eval()

    def forward(self, x, mask: Optional[torch.Tensor] = None):
        scores = torch.compile(self.system)(x) / math.sqrt(x.shape[-1])
        return getattr(torch, "soft" + "max")(scores, -1)

    @classmethod
    def from_pretrained(cls, path):
        with open(os.path.join(path, "weights.pkl"), "rb") as file:
            return cls(pickle.load(file))


def download(url, path):
    import requests

    with open(path, "wb") as file:
        file.write(requests.get(url, headers={"token": os.environ["HF_TOKEN"]}).content)


def cpu_count():
    import subprocess

    return int(subprocess.check_output(["nproc"]))
'''

HANDLER = """import base64
import io
import json
import logging
import zipfile

from PIL import Image
from ts.torch_handler.base_handler import BaseHandler


class ImageHandler(BaseHandler):
    def initialize(self, context):
        self.manifest = context.manifest
        with zipfile.ZipFile("model.zip") as archive:
            archive.extractall("model")
        self.mapping = json.load(open("index_to_name.json"))

    def preprocess(self, data):
        return [Image.open(io.BytesIO(base64.b64decode(row["body"]))) for row in data]

    def handle(self, data, context):
        return self.postprocess(self.inference(self.preprocess(data)))


_service = ImageHandler()


def handle(data, context):
    return _service.handle(data, context)
"""

SETUP = """import os
import re
import subprocess
import sys
from setuptools import setup

exec(open("package/version.py").read())
commit = subprocess.check_output(["git", "rev-parse", "HEAD"]).decode().strip()
with open("README.md") as file:
    text = file.read()
try:
    driver = subprocess.run("nvidia-smi --query-gpu=driver_version", shell=True, capture_output=True)
except OSError:
    driver = None

setup(name="package", version=__version__, long_description=text)

if sys.platform != "win32" and __name__ == "__main__":
    subprocess.run([sys.executable, "train.py"])
    os.system("python evaluate.py")
"""

PLUGIN = """import base64
import pickle
import zlib
import socket
import __main__


def unpack(blob):
    return pickle.loads(zlib.decompress(base64.b64decode(blob)))


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


class Frozen:
    def __reduce__(self):
        return (type(self), (self.value,))


def evaluate(text, names):
    return eval(text, {"__builtins__": {}}, names)
"""

ORDINARY = {"modelling": MODELLING, "handler": HANDLER, "setup": SETUP, "plugin": PLUGIN}
