"""The quick reading of `modelaudit scan` means what typer's reading means, or leaves it to typer."""

import itertools
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelaudit.cli import quick
from modelaudit.cli.app import app
from modelaudit.cli.quick import Asked, scan_of
from modelaudit.settings import OPTIONS, REPEATED, SWITCHES


class Seen(Exception):
    """What typer's reading came to."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.asked = asked


@pytest.fixture(scope="module", autouse=True)
def seeing() -> object:
    """Typer's command stops where the settings begin."""

    def resolve(paths: Sequence[str], flags: Mapping[str, object], config: str | None, targets: str | None) -> None:
        said = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in flags.items()
            if value is not None
        }
        raise Seen(Asked(list(paths), said, config, targets))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelaudit.settings.resolve", resolve)
        yield


def by_typer(arguments: list[str]) -> Asked | None:
    """None where typer prints something and ends."""
    try:
        app(args=arguments, prog_name="modelaudit")
    except Seen as seen:
        return seen.asked
    except SystemExit:
        return None
    return None


VALUES = st.sampled_from(["x", "json", "critical", "on", "5", "a=b", "", "-", "-x", "--", "--quiet", "scan", "ü"])
NAMES = ["--" + name.replace("_", "-") for name in (*OPTIONS, "config", "targets")]
WORDS = st.one_of(
    VALUES.map(lambda value: [value]),
    st.tuples(st.sampled_from([*NAMES, "-f", "-o"]), VALUES).map(list),
    st.builds(lambda name, value: [f"{name}={value}"], st.sampled_from([*NAMES, "-f"]), VALUES),
    st.sampled_from([["-v"], ["-q"], ["-vq"], ["-fjson"], ["--dry-run"], ["--no"], ["--format"], ["--includ", "x"]]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, max_size=5).map(lambda words: list(itertools.chain(*words))))
def test_the_same_meaning(words: list[str]) -> None:
    """Whatever is read quickly is read by typer to the same settings; a choice that typer refuses, settings refuse."""
    asked = scan_of(["scan", *words])
    if asked is None:
        return
    seen = by_typer(["scan", *words])
    if seen is None:
        choices = {"format": "json", "fail_on": "critical", "weights": "on"}
        assert any(asked.flags.get(name, good) != good for name, good in choices.items())
    else:
        assert asked == seen


@pytest.mark.parametrize("name", [*OPTIONS, "config", "targets"])
def test_every_option_is_read_quickly(name: str) -> None:
    """In both spellings; what may be repeated becomes a list, what needs no value is a switch."""
    option = "--" + name.replace("_", "-")
    value = {"format": "json", "fail_on": "info", "weights": "on"}.get(name, "x")
    spellings = [[option]] if name in SWITCHES else [[option, value], [f"{option}={value}"]]
    for spelling in spellings:
        asked = scan_of(["scan", "a", *spelling, "b"])
        assert asked is not None
        assert asked == by_typer(["scan", "a", *spelling, "b"])
        assert asked.paths == ["a", "b"]
        expected = True if name in SWITCHES else [value] if name in REPEATED else value
        assert (getattr(asked, name) if name in ("config", "targets") else asked.flags[name]) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["rules"],
        ["--help"],
        ["scan", "--help"],
        ["scan", "-h"],
        ["scan", "--nonsense"],
        ["scan", "--format"],
        ["scan", "--verbose=yes"],
        ["scan", "--output", "--quiet"],
        ["scan", "--", "-x"],
        ["scan", "-vq"],
        ["scan", "-"],
    ],
)
def test_what_is_left_to_typer(arguments: list[str]) -> None:
    """Everything that is not plain."""
    assert scan_of(arguments) is None


def test_no_other_module_is_needed() -> None:
    """That is its point: it knows the settings and nothing that is slow."""
    assert quick.__file__ is not None
    with open(quick.__file__, encoding="utf-8") as text:
        imported = re.findall(r"^(?:from|import) (\S+)", text.read(), re.MULTILINE)
    assert imported == ["collections.abc", "typing", "modelaudit.settings"]
