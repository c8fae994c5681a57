"""Log lines: for whom, from which level on, and never with a secret in them."""

import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.logs import Log, redacted


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_json_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line; what every line has comes first."""
    Log().warning("not everything was scanned", incomplete=3, where="s3://bucket")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert list(entry) == ["timestamp", "level", "event", "incomplete", "where"]
    assert (entry["level"], entry["event"], entry["incomplete"]) == ("warning", "not everything was scanned", 3)


def test_words_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """With colours, unless there must be none."""
    for colour in (True, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        Log(colour=colour).warning("careful", count=3)
        assert "careful" in terminal.getvalue()
        assert ("\x1b[" in terminal.getvalue()) is colour


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, ["warning", "error"]),
        ({"verbose": True}, ["info", "warning", "error"]),
        ({"quiet": True}, ["error"]),
    ],
)
def test_levels(capsys: pytest.CaptureFixture[str], options: dict[str, bool], said: list[str]) -> None:
    """Warnings always, infos when asked for, errors even when silence was."""
    log = Log(**options)
    log.info("a")
    log.warning("b")
    log.error("c")
    assert [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()] == said


def test_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings of libraries come in the same shape while a run lasts; their chatter and their secrets do not."""
    library = logging.getLogger("botocore.credentials")
    with Log(verbose=True):
        library.info("request with Authorization: Bearer abcdefgh")
        library.warning("GET https://me:hush@host/key?X-Amz-Signature=0123 failed")
        try:
            raise ValueError("token=0123456789")
        except ValueError:
            library.exception("broken")
    (first, second) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (first["event"], first["logger"]) == ("GET https://…@host/key?… failed", "botocore.credentials")
    assert (second["level"], second["cause"]) == ("error", "ValueError: token=…")
    assert library.parent is not None
    assert not any(type(handler).__module__ == "modelaudit.logs" for handler in logging.getLogger().handlers)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("models/a b.pkl: No such file or directory", "models/a b.pkl: No such file or directory"),
        ("s3://bucket/key with spaces/ü.pt", "s3://bucket/key with spaces/ü.pt"),
        ("https://user:pass@host/path", "https://…@host/path"),
        ("see https://h/p?X-Amz-Credential=AKIA&X-Amz-Signature=1 now", "see https://h/p?… now"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer …"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "{'authorization': 'Basic …'}"),
        ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key=…"),
        ("AWS_SESSION_TOKEN = abc", "AWS_SESSION_TOKEN = …"),
        ("x-amz-security-token: abc", "x-amz-security-token: …"),
        ("the key AKIAIOSFODNN7EXAMPLE is wrong", "the key AKIA… is wrong"),
        ("hf_abcdefghijklmnopqrstuvwx", "hf_…"),
        ("a\x1b[2Jb\u202ec\r", "a\\x1b[2Jb\\u202ec\\r"),
    ],
)
def test_redacted(text: str, shown: str) -> None:
    """Secrets go, whatever the message around them; ordinary names and sentences stay."""
    assert redacted(text) == shown


@given(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=200))
def test_plain_text_is_left_alone(text: str) -> None:
    """Without the look of a secret nothing is taken away."""
    if not any(mark in text for mark in ("AKIA", "ASIA")):
        assert redacted(text) == text
