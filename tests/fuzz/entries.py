"""One entry for each scanned format: a function of bytes, as libFuzzer and atheris call it."""

from collections.abc import Callable

from modelaudit.engine import default_engine
from tests.fuzz.contract import check

TestOneInput = Callable[[bytes], None]


def formats() -> list[str]:
    """The ids of the formats that are scanned, sorted."""
    return sorted(default_engine().scanners)


def target(format_id: str) -> TestOneInput:
    """The function that holds the scanner of `format_id` to the contract; raises `Broken` where it fails.

    Raises `KeyError` for a format that is not scanned.
    """
    scanner = default_engine().scanners[format_id]

    def TestOneInput(data: bytes) -> None:  # the name that libFuzzer's drivers expect
        check(scanner, data)

    return TestOneInput
