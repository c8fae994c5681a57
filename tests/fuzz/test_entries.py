"""Every scanner keeps to the contract on its own files and on what a few mutations make of them."""

import random
from collections.abc import Iterator

import pytest

from modelaudit.blob import Blob, RootBlob
from modelaudit.engine import default_engine
from modelaudit.errors import Missing
from modelaudit.limits import KIB, Limits
from modelaudit.model import Hit
from tests.fuzz import Broken, check, formats, target
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import seeds

_INPUTS = 40
_MOST_BYTES = 4 * KIB  # small inputs, many of them: the suite has a second or two for each format


def test_every_format_has_an_entry_and_seeds() -> None:
    """No scanned format of the catalogue is left out, and each starts from files of its own."""
    scanned = {format.id for format in default_engine().catalogue.formats.values() if format.scanned}
    assert set(formats()) == scanned
    assert [each for each in formats() if not seeds(each)] == []


@pytest.mark.parametrize("format_id", formats())
def test_mutations_keep_to_the_contract(format_id: str) -> None:
    """Nothing but the known exceptions, the same each time, whole or in pieces, and only places that exist."""
    known = [seed for seed in seeds(format_id) if len(seed) <= _MOST_BYTES] or [seeds(format_id)[0][:_MOST_BYTES]]
    check_bytes = target(format_id)
    for number in range(_INPUTS):
        chance = random.Random(f"suite/{number}")
        check_bytes(mutate(chance, chance.choice(known), known, _MOST_BYTES))


class _Faulty:
    """A scanner with one fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.calls = 0

    def scan(self, blob: Blob, limits: Limits, /) -> Iterator[Hit]:
        """Break the contract in the one way that this scanner is for."""
        self.calls += 1
        match self.fault:
            case "raises":
                raise KeyError("a name that is not there")
            case "outside":
                yield Hit("pickle-import", blob.size + 1)
            case "random":
                yield Hit("pickle-import", self.calls)
            case "unknown":
                yield Hit("no-such-rule", 0)
            case "circles":
                if isinstance(blob, RootBlob):
                    raise Missing([(0, 1)])
            case "far":
                if isinstance(blob, RootBlob):
                    raise Missing([(blob.size, 1)])
            case "endless":
                yield from [Hit("pickle-import", 0)] * 10_000


@pytest.mark.parametrize("fault", ["raises", "outside", "random", "unknown", "circles", "far", "endless"])
def test_a_fault_is_told(fault: str) -> None:
    """The contract can fail: each part of it does, on a scanner that breaks it."""
    with pytest.raises(KeyError if fault == "raises" else Broken):
        check(_Faulty(fault), b"0123456789" * 20)


def test_a_scanner_without_fault_passes() -> None:
    """And it does not fail on one that says nothing."""
    check(_Faulty("none"), b"0123456789" * 200)


def test_mutations_are_the_same_for_the_same_seed() -> None:
    """What a run has found can be found again."""
    first, second = (
        [mutate(random.Random(number), b"some bytes", [b"others"], 1000) for number in range(100)] for _ in range(2)
    )
    assert first == second
    assert len(set(first)) > 50
