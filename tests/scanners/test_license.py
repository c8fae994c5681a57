"""Licences: what is stated is an SPDX expression, what restricts is said as information, and nothing else is."""

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.model import Inspection, Severity
from tests.samples import gguffiles, onnxfiles, safetensorfiles
from tests.samples.licensefiles import MIT, PROSE, ZERO_BSD, card
from tests.samples.protowriter import number, pair
from tests.samples.protowriter import text as field


def look(data: bytes, name: str = "LICENSE") -> Inspection:
    return inspect(BytesBlob(data, Place(name)), uri=name)


def stated(found: Inspection) -> list[str | None]:
    return [each.expression for each in found.licenses]


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings}


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE",
        "LICENSE.txt",
        "license.md",
        "COPYING",
        "COPYING.LESSER",
        "LICENSE-MIT",
        "LICENSE-SDXL1.0",
        "notice",
        "x",
        "a.txt",
        "MODEL_LICENSE",
        "Tongyi Qianwen LICENSE AGREEMENT",
    ],
)
def test_a_text_is_recognised_under_any_usual_name(name: str) -> None:
    """A file of another name is looked at if its first line speaks of a licence."""
    found = look(MIT, name)
    assert (found.status, found.formats) == ("scanned", ("license",))
    assert stated(found) == ["MIT"]
    assert [(each.path, each.source, each.restrictions) for each in found.licenses] == [(name, "text", ())]
    assert not found.findings


COMMONS = b"""
"Commons Clause" License Condition v1.0

The Software is provided to you by the Licensor under the License, as defined below, subject to the following condition.

Without limiting other conditions in the License, the grant of rights under the License will not include, and the
License does not grant to you, the right to Sell the Software.

For purposes of the foregoing, "Sell" means practicing any or all of the rights granted to you under the License to
provide to third parties, for a fee or other consideration (including without limitation fees for hosting or
consulting/ support services related to the Software), a product or service whose value derives, entirely or
substantially, from the functionality of the Software. Any license notice or attribution required by the License must
also include this Commons Clause License Condition notice.

Software: Demo

License: MIT

Licensor: A. Author
"""


def test_a_text_that_spdx_does_not_list_is_not_lost() -> None:
    """A condition added to a permissive licence is what matters most."""
    found = look(COMMONS + b"\n" + MIT)
    assert stated(found) == ["LicenseRef-scancode-commons-clause", "MIT"]
    assert rules(found) == {"license-commercial-terms"}


def test_several_texts_in_one_file() -> None:
    """Each is told once, in the order of the file."""
    assert stated(look(MIT + b"\n\n----\n\n" + ZERO_BSD + b"\n\n" + MIT)) == ["MIT", "0BSD"]


@pytest.mark.parametrize(
    "data", [PROSE, b"See the file COPYING.\n", MIT[:200], b"\xff\xfe\x00\x01" * 40, b"A\n" * 200_000]
)
def test_what_is_no_licence_text_states_none(data: bytes) -> None:
    """No guessing: prose about licences, a pointer and a beginning are not a licence."""
    found = look(data, "NOTICE")
    assert not found.licenses
    assert not found.findings


def test_a_licence_file_with_terms_of_its_own_is_told() -> None:
    """By what stands above them; what is no text is not shown."""
    found = look(b"\nAcme Model Terms, 2024\n\n" + PROSE)
    assert [(each.expression, each.declared) for each in found.licenses] == [(None, "Acme Model Terms, 2024")]
    assert rules(found) == {"license-unrecognised"}
    assert not look(b"\xff\xfe\x01\x02" * 40).licenses
    assert not look(b"AB 123 CD\nEF 456 GH\n", "license_plates.txt").licenses


def test_a_licence_with_a_preface() -> None:
    """Less of a file that is named so must be the text; elsewhere a mention is not a statement."""
    assert stated(look(PROSE[:600] + b"\n" + MIT)) == ["MIT"]
    assert stated(look(PROSE[:600] + b"\n" + MIT, "NOTICE")) == []


@pytest.mark.parametrize("name", ["license.py", "license.json", "licenses.html", "license.pkl", "x.csv", "x.py"])
def test_code_and_data_are_no_licence_texts(name: str) -> None:
    """Whatever they are called or begin with."""
    assert "license" not in look(MIT, name).formats


@pytest.mark.parametrize(
    ("first", "expression"),
    [
        ("Copyright (c) 2023 Stability AI CreativeML Open RAIL++-M License", "LicenseRef-openrail-plus-plus"),
        ("FLUX.1 [dev] Non-Commercial License", "LicenseRef-scancode-flux-1-nc"),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT", "LicenseRef-scancode-llama-3.1-license-2024"),
        ("META LLAMA 3 COMMUNITY LICENSE AGREEMENT", "LicenseRef-llama-3-license-2024"),
        ("Gemma Terms of Use", "LicenseRef-gemma"),
        ("CreativeML Open RAIL++-M License", "LicenseRef-openrail-plus-plus"),
        ("CreativeML Open RAIL-M", "LicenseRef-creativeml-openrail-m"),
    ],
)
def test_texts_of_model_licences(first: str, expression: str) -> None:
    """SPDX's list has none of them: the heading tells, whatever its case and spacing."""
    assert stated(look(f"\n  {first.upper()}\n\nVersion of some day\n\nYou agree.\n".encode())) == [expression]


RESTRICTED = {
    "license-noncommercial": [
        "cc-by-nc-4.0",
        "CC-BY-NC-SA-3.0-DE",
        "PolyForm-Noncommercial-1.0.0",
        "deepfloyd-if-license",
    ],
    "license-commercial-terms": ["llama2", "llama3.3", "BUSL-1.1", "stability-ai-community"],
    "license-use-limits": ["openrail", "bigscience-bloom-rail-1.0", "gemma", "creativeml-openrail-m", "llama4"],
    "license-network": ["agpl-3.0", "AGPL-3.0-or-later", "SSPL-1.0", "EUPL-1.2", "MIT AND AGPL-3.0-only"],
    "license-unrecognised": ["our-own-terms", "proprietary", "other", "MIT and what my friends say"],
}
UNRESTRICTED = {
    "license-noncommercial": ["cc-by-4.0", "cc-by-sa-4.0", "CC0-1.0", "NCSA"],
    "license-commercial-terms": ["apache-2.0", "bsl-1.0"],
    "license-use-limits": ["openmdw-1.0", "mit"],
    "license-network": ["gpl-3.0", "lgpl-3.0", "AGPL-3.0-only OR MIT", "MPL-2.0"],
    "license-unrecognised": ["odc-by", "LicenseRef-our-own", "[mit, apache-2.0]", "Apache License 2.0"],
}


@pytest.mark.parametrize(("rule", "declared"), [(rule, each) for rule, many in RESTRICTED.items() for each in many])
def test_what_a_licence_asks_is_said(rule: str, declared: str) -> None:
    """As information: an ordinary model gets no warning for its licence."""
    found = look(card(f"license: {declared}"), "README.md")
    assert rule in rules(found)
    assert {finding.severity for finding in found.findings} == {Severity.INFO}


@pytest.mark.parametrize(("rule", "declared"), [(rule, each) for rule, many in UNRESTRICTED.items() for each in many])
def test_what_a_licence_does_not_ask_is_not_said(rule: str, declared: str) -> None:
    """Its neighbours by name, and a choice that leaves a way around."""
    found = look(card(f"license: {declared}"), "README.md")
    assert found.licenses
    assert rule not in rules(found)


EXPRESSIONS = {
    "apache-2.0": "Apache-2.0",
    "AGPL-3.0": "AGPL-3.0-only",
    "gpl-2.0+ with classpath-exception-2.0": "GPL-2.0-or-later WITH Classpath-exception-2.0",
    "(mit or apache-2.0) and bsd-3-clause": "(MIT OR Apache-2.0) AND BSD-3-Clause",
    "The MIT License": "MIT",
    "GPLv3 OR MIT": "GPL-3.0-only OR MIT",
    "https://creativecommons.org/licenses/by-nc/4.0/": "CC-BY-NC-4.0",
    "LicenseRef-house-rules": "LicenseRef-house-rules",
    "License :: OSI Approved :: BSD License": "LicenseRef-BSD",
    "AGPL-3.0 License (https://ultralytics.com/license)": "AGPL-3.0-only",
    "llama3.1": "LicenseRef-scancode-llama-3.1-license-2024",
}
NO_EXPRESSIONS = [
    "Classpath-exception-2.0",
    "MIT OR",
    "()",
    "( or(and MIT",
    "(" * 100 + "MIT" + ")" * 100,
    "MIT " * 500,
    "AND",
    "a b c",
    "LicenseRef-ü",
    "\x00",
]


@pytest.mark.parametrize("declared", EXPRESSIONS)
def test_ids_names_and_addresses_become_expressions(declared: str) -> None:
    """In the spelling of SPDX's list of today."""
    from modelaudit.licensing.expressions import of_declared

    assert of_declared(declared) == EXPRESSIONS[declared]


@pytest.mark.parametrize("declared", NO_EXPRESSIONS, ids=range(len(NO_EXPRESSIONS)))
def test_what_is_no_expression_is_none(declared: str) -> None:
    """Hostile text ends at once and without a fault."""
    from modelaudit.licensing.expressions import of_declared

    assert of_declared(declared) is None


def test_licences_are_bounded() -> None:
    """What is over the bound is counted."""
    front = "license:\n" + "\n".join(f"- LicenseRef-{number}" for number in range(20))
    found = inspect(BytesBlob(card(front), Place("README.md")), Limits(licenses=5))
    assert (len(found.licenses), found.licenses_cut) == (5, 15)


def in_file(kind: str, key: str, value: str) -> bytes:
    """An honest model with `value` under `key` of its metadata."""
    if kind == "gguf":
        return gguffiles.model((key, gguffiles.STR, value))
    if kind == "mlmodel":
        metadata = field(100, field(4 if key == "license" else 1, value))
        return number(1, 4) + field(2, field(1, field(1, "image")) + metadata) + field(500, field(1, bytes(0)))
    if kind == "onnx":
        return onnxfiles.model(pair(14, key, value))
    return safetensorfiles.with_metadata(value, key)


KEYS = [
    ("safetensors", "license"),
    ("safetensors", "modelspec.license"),
    ("gguf", "general.license"),
    ("onnx", "license"),
    ("mlmodel", "license"),
]


@pytest.mark.parametrize(("kind", "key"), KEYS)
def test_model_files_state_licences(kind: str, key: str) -> None:
    """In their metadata, where the format or the habit of its users has a place for it."""
    found = look(in_file(kind, key, "cc-by-nc-4.0"), f"model.{kind}")
    assert [(each.expression, each.declared, each.source) for each in found.licenses] == [
        ("CC-BY-NC-4.0", "cc-by-nc-4.0", "metadata")
    ]
    assert rules(found) == {"license-noncommercial"}
    assert not look(in_file(kind, "notes", "cc-by-nc-4.0"), f"model.{kind}").licenses
    assert not look(in_file(kind, key, "apache-2.0"), f"model.{kind}").findings


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_a_whole_text_in_metadata(kind: str) -> None:
    """It is recognised, and only what stands above it is kept."""
    found = look(in_file(kind, "license", MIT.decode()), f"model.{kind}")
    assert [(each.expression, each.declared) for each in found.licenses] == [("MIT", "MIT License")]


PACKAGES = {
    "package.json": ['{"license": "LGPL-3.0"}', '{"licenses": [{"type": "LGPL-3.0", "url": "https://a.b"}]}'],
    "pyproject.toml": [
        '[project]\nlicense = "LGPL-3.0-only"\n',
        '[project]\nlicense = {text = "LGPL-3.0"}\n',
        '[project]\nclassifiers = ["License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"]\n',
        '[tool.poetry]\nlicense = "LGPL-3.0-only"\n',
    ],
    "setup.cfg": ["[metadata]\nname = x\nlicense = LGPL-3.0\n"],
    "CITATION.cff": ["cff-version: 1.2.0\nlicense: LGPL-3.0-only\n"],
    "Cargo.toml": ['[package]\nname = "x"\nlicense = "LGPL-3.0-only"\n'],
    "Kitfile": ["manifestVersion: 1.0.0\nmodel:\n  name: x\n  license: LGPL-3.0-only\n"],
    "dataset-metadata.json": ['{"title": "x", "licenses": [{"name": "LGPL-3.0"}]}'],
    "dataset_infos.json": ['{"default": {"description": "", "license": "LGPL-3.0"}}'],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, many in PACKAGES.items() for text in many])
def test_descriptions_of_packages_and_data_sets(name: str, text: str) -> None:
    """By their names: elsewhere `license` may be the key of a product."""
    found = look(text.encode(), name)
    assert [(each.expression, each.source) for each in found.licenses] == [("LGPL-3.0-only", "package")]
    assert not look(text.encode(), "settings.json").licenses


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dataset-metadata.json", '{"title": "x"}'),
        ("dataset_infos.json", '{"default": {"license": ""}}'),
        ("datapackage.json", '{"resources": [], "licenses": []}'),
    ],
)
def test_data_sets_without_a_licence(name: str, text: str) -> None:
    """A description that has a place for it and leaves it empty is told; a package's is not."""
    assert rules(look(text.encode(), name)) == {"model-card-dataset-unlicensed"}
    assert not look(text.encode(), "package.json").findings


def test_one_finding_for_a_licence_that_is_stated_often() -> None:
    """A data set of many tables under one licence says it once."""
    tables = ", ".join(f'"{number}": {{"license": "AGPL-3.0{"-only" * (number % 2)}"}}' for number in range(6))
    found = look(f"{{{tables}}}".encode(), "dataset_infos.json")
    assert len(found.licenses) == 2
    assert [finding.details["count"] for finding in found.findings] == [2]
