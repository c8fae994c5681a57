"""What the bar says, and that it is never in the way."""

import io
import sys

import pytest
from rich.console import Console

from modelaudit.progress import Bar, Silent, sized, watched
from tests.sinks.records import EVIL, report


@pytest.fixture
def bar() -> Bar:
    """A bar that never appears by itself, begun at second 100."""
    hidden = Bar(show_after_seconds=3600)
    hidden.close()
    hidden._marks = [(100.0, 0, 0)]
    return hidden


def test_while_the_listing_goes_on(bar: Bar) -> None:
    """The total is open, so no end is promised."""
    bar.listed(1000, 10**9)
    for _ in range(10):
        bar.done(report(bytes_read=150_000))
    bar.done(EVIL)
    assert bar.line(102.0) == "11 of 1,000+ objects, 6/s · 1.5 MB read, 750.0 kB/s · 5 findings"


def test_when_the_listing_is_done(bar: Bar) -> None:
    """Now there is an end to wait for."""
    bar.listed(7300, 10**9)
    bar.listing_done()
    for _ in range(100):
        bar.done(report(bytes_read=0))
    assert bar.line(150.0) == "100 of 7,300 objects, 2/s · 0 B read, 0 B/s · 0 findings · 1:00:00 left"


def test_the_rate_is_that_of_late(bar: Bar) -> None:
    """A slow start does not spoil the estimate for ever."""
    bar.listed(1000, 0)
    bar.listing_done()
    bar.line(200.0)
    for _ in range(100):
        bar.done(report(bytes_read=0))
    bar.line(210.0)
    for _ in range(100):
        bar.done(report(bytes_read=0))
    assert "200 of 1,000 objects, 10/s" in bar.line(220.0)
    assert "0:01:20 left" in bar.line(220.0)


def test_nothing_is_left_to_estimate(bar: Bar) -> None:
    """At the end, and before anything has ended, there is no time left to tell."""
    bar.listed(1, 0)
    bar.listing_done()
    assert "left" not in bar.line(110.0)
    bar.done(report())
    assert "left" not in bar.line(120.0)


def test_it_can_be_drawn(bar: Bar) -> None:
    """Also before anything is listed, and on a narrow terminal."""
    for listed in (0, 10):
        bar.listed(listed, 0)
        drawn = io.StringIO()
        Console(file=drawn, width=60, force_terminal=True).print(bar._drawn())
        assert "objects" in drawn.getvalue()
        bar.listing_done()


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_it_comes_late_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is over at once shows nothing and loads nothing; after `close` nothing is drawn any more."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    quick = Bar(show_after_seconds=3600)
    quick.close()
    assert terminal.getvalue() == ""
    slow = Bar(show_after_seconds=0)
    slow._timer.join(30)
    slow.close()
    slow.close()
    assert "objects" in terminal.getvalue()
    late = Bar(show_after_seconds=3600)
    late.close()
    written = terminal.getvalue()
    late._show()
    assert terminal.getvalue() == written


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"), [(True, False, Bar), (True, True, Silent), (False, False, Silent)]
)
def test_who_gets_a_bar(monkeypatch: pytest.MonkeyPatch, terminal: bool, quiet: bool, kind: type) -> None:
    """People at a terminal who did not ask for silence."""
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    progress = watched(quiet)
    assert type(progress) is kind
    progress.listed(1, 1)
    progress.done(report())
    progress.listing_done()
    progress.close()


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1.5e6, "1.5 MB"), (2e18, "2000.0 PB")]
)
def test_sized(count: float, shown: str) -> None:
    """Bytes for people."""
    assert sized(count) == shown
