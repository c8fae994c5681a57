"""What is known about the operators of graphs: which are standard, which are published, which reach outside.

The lists of names (`.txt`) are made by the scripts in `benchmarks/`; what is said about them (`.toml`) is written by
hand, from the documentation of the runtimes and the sources that the files name.
"""

import os
from functools import cache

import msgspec

from modelaudit.catalogue.tables import table
from modelaudit.model import Severity

_FOLDER = os.path.dirname(__file__)


class _Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    operators: str
    effect: str
    severity: Severity


class _OnnxFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    domains: str
    plugins: str
    effect: tuple[_Effect, ...]


class Onnx(msgspec.Struct, frozen=True):
    """ONNX. `standard` are (domain, operator), the standard domain being `""`; `domains` publish operators.

    `effects` say of an operator's name what it does, and how bad that is, in whatever domain it is.
    """

    standard: frozenset[tuple[str, str]]
    domains: frozenset[str]
    plugins: frozenset[str]
    effects: dict[str, tuple[str, Severity]]

    def publishes(self, domain: str) -> bool:
        """Whether `domain` or one that it lies in is known."""
        parts = domain.split(".")
        return any(".".join(parts[:count]) in self.domains for count in range(1, len(parts) + 1))


@cache
def onnx() -> Onnx:
    """Frozen data, read once for the process. The first call reads files: before a worker's cage closes."""
    entry = msgspec.convert(table(os.path.join(_FOLDER, "onnx.toml")), _OnnxFile)
    return Onnx(
        standard=frozenset(
            ("" if domain == "ai.onnx" else domain, name)
            for domain, name in (line.split() for line in _lines("onnx.txt"))
        ),
        domains=frozenset(entry.domains.split()),
        plugins=frozenset(entry.plugins.split()),
        effects={name: (one.effect, one.severity) for one in entry.effect for name in one.operators.split()},
    )


class _Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    operators: str
    effect: str
    severity: Severity
    role: str
    inputs: tuple[int, ...] = (0,)
    attributes: tuple[str, ...] = ()


class _TensorflowFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    passing: str
    published: str
    beginnings: str
    effect: tuple[_Role, ...]


class Effect(msgspec.Struct, frozen=True):
    """What an operator does, and when that is told: see `tensorflow.toml` for `role`."""

    effect: str
    severity: Severity
    role: str
    inputs: tuple[int, ...]
    attributes: tuple[str, ...]


class Tensorflow(msgspec.Struct, frozen=True):
    """TensorFlow. `standard` are the operators that it registers; `effects` what some of them do.

    `passing` are those that hand texts on.
    """

    standard: frozenset[str]
    passing: frozenset[str]
    published: frozenset[str]
    beginnings: tuple[str, ...]
    effects: dict[str, Effect]

    def publishes(self, name: str) -> bool:
        """Whether the operator is one of a library that is known."""
        return name in self.published or name.startswith(self.beginnings)


@cache
def tensorflow() -> Tensorflow:
    """Frozen data, read once for the process. The first call reads files: before a worker's cage closes."""
    entry = msgspec.convert(table(os.path.join(_FOLDER, "tensorflow.toml")), _TensorflowFile)
    return Tensorflow(
        standard=frozenset(_lines("tensorflow.txt")),
        passing=frozenset(entry.passing.split()),
        published=frozenset(entry.published.split()),
        beginnings=tuple(entry.beginnings.split()),
        effects={
            name: Effect(one.effect, one.severity, one.role, one.inputs, one.attributes)
            for one in entry.effect
            for name in one.operators.split()
        },
    )


def _lines(name: str) -> list[str]:
    with open(os.path.join(_FOLDER, name), encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if not line.startswith("#")]
