"""From flags, environment and file to one value; and for each mistake one sentence that helps."""

import contextlib
import datetime
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.access import Access
from modelaudit.errors import UsageError
from modelaudit.limits import GIB, MIB, Limits
from modelaudit.model import Severity
from modelaudit.settings import OPTIONS, Settings, Suppression, default_workers, resolve, size_bytes


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a folder of models in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    return tmp_path


def settled(flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, **more: str) -> Settings:
    return resolve(["models"], flags or {}, environ=environ or {}, **more)  # type: ignore[arg-type]  texts only


def refused(flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, **more: str) -> str:
    with pytest.raises(UsageError) as error:
        settled(flags, environ, **more)
    return str(error.value)


def placeless(found: Settings) -> Settings:
    """`found` as if its suppressions had been written nowhere."""
    suppress = tuple(msgspec.structs.replace(each, where="") for each in found.suppress)
    return msgspec.structs.replace(found, suppress=suppress)


def test_the_defaults() -> None:
    """Nothing said: the bounds of `limits.py`, a worker a core, warnings fail."""
    assert settled() == Settings(paths=("models",), workers=default_workers(), colour=True)


def test_every_option_from_every_place(elsewhere: Path) -> None:
    """The same option means the same, said as a flag, in the environment or in the file."""
    as_flags: dict[str, object] = {
        "format": "json",
        "output": "out.json",
        "state": "state.db",
        "sbom": "sbom.json",
        "hash": True,
        "workers": "3",
        "include": ["*.pt", "*.pkl"],
        "exclude": ["*.tmp"],
        "blacklist": ["evil"],
        "fail_on": "critical",
        "suppress": ["shared-bomb=seen and known"],
        "severity": ["shared-nesting=info"],
        "strict_license": True,
        "weights": "on",
        "heartbeat": "30",
        "dry_run": True,
        "verbose": True,
        "quiet": None,
        "timeout": "1.5",
        "max_file_size": "10GB",
        "max_total_size": "512MiB",
        "max_line_bytes": "100KiB",
        "concurrency": "7",
        "ca_bundle": "ca.pem",
        "registry_uri": "http://mlflow:5000",
        "jfrog_api_token": "api",
        "jfrog_access_token": "access",
    }
    assert set(as_flags) == set(OPTIONS)
    expected = Settings(
        paths=("models",),
        format="json",
        output="out.json",
        state="state.db",
        sbom="sbom.json",
        hash=True,
        workers=3,
        include=("*.pt", "*.pkl"),
        exclude=("*.tmp",),
        blacklist=("evil",),
        fail_on=Severity.CRITICAL,
        suppress=(Suppression("seen and known", rule="shared-bomb"),),
        severity={"shared-nesting": Severity.INFO},
        weights="on",
        heartbeat=30,
        strict_license=True,
        dry_run=True,
        verbose=True,
        limits=Limits(
            timeout_seconds=1.5,
            max_file_bytes=10_000_000_000,
            max_total_bytes=512 * MIB,
            line_bytes=100 * 1024,
            concurrency=7,
        ),
        access=Access(
            ca_bundle="ca.pem",
            registry_uri="http://mlflow:5000",
            jfrog_api_token="api",
            jfrog_access_token="access",
        ),
    )
    assert placeless(settled(as_flags)) == expected
    as_variables = {
        f"MODELAUDIT_{name.upper()}": ",".join(value) if isinstance(value, list) else str(value)
        for name, value in as_flags.items()
        if value is not None
    }
    assert placeless(settled(environ=as_variables)) == expected
    (elsewhere / "modelaudit.toml").write_text("""
        format = "json"
        output = "out.json"
        workers = 3
        include = ["*.pt", "*.pkl"]
        exclude = ["*.tmp"]
        blacklist = ["evil"]
        fail-on = "critical"
        suppress = ["shared-bomb=seen and known"]
        weights = "on"
        heartbeat = 30
        dry-run = true
        verbose = true
        strict-license = true
        state = "state.db"
        sbom = "sbom.json"
        hash = true
        timeout = 1.5
        max-file-size = "10GB"
        max_total_size = 536870912
        max-line-bytes = "100KiB"
        concurrency = 7
        ca-bundle = "ca.pem"
        registry-uri = "http://mlflow:5000"
        jfrog-api-token = "api"
        jfrog-access-token = "access"
        [severity]
        shared-nesting = "info"
    """)
    from_file = placeless(settled())
    assert from_file.config == "modelaudit.toml"
    assert from_file == Settings(
        **{**{n: getattr(expected, n) for n in expected.__struct_fields__}, "config": "modelaudit.toml"}
    )


def test_the_stronger_place_wins(elsewhere: Path) -> None:
    """Flags before the environment before the file; a list replaces a list."""
    (elsewhere / "modelaudit.toml").write_text('timeout = 1\nworkers = 1\nconcurrency = 1\ninclude = ["a", "b"]\n')
    found = settled({"timeout": "3", "include": ["c"]}, {"MODELAUDIT_TIMEOUT": "2", "MODELAUDIT_WORKERS": "2"})
    assert (found.limits.timeout_seconds, found.workers, found.limits.concurrency) == (3.0, 2, 1)
    assert found.include == ("c",)


def test_an_empty_variable_says_nothing() -> None:
    """As shells and containers set variables that are meant to be unset."""
    assert settled(environ={"MODELAUDIT_TIMEOUT": "", "MODELAUDIT_CONFIG": "", "NO_COLOR": ""}) == settled()


def test_an_unknown_variable_is_told() -> None:
    """A typing mistake in the environment must not silently do nothing; another tool's variable must not end a run."""
    found = settled(environ={"MODELAUDIT_SUPRESS": "x", "HOME": "/"})
    assert found.notices == (
        "the environment variable MODELAUDIT_SUPRESS is not known and was ignored; did you mean MODELAUDIT_SUPPRESS?",
    )


@pytest.mark.parametrize(("environ", "colour"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour(environ: dict[str, str], colour: bool) -> None:
    """NO_COLOR and dumb terminals are heeded."""
    assert settled(environ=environ).colour is colour


# --- the file ---------------------------------------------------------------------------------------------------


def test_pyproject(elsewhere: Path) -> None:
    """`[tool.modelaudit]` counts where there is no modelaudit.toml; another project's file is let be."""
    (elsewhere / "pyproject.toml").write_text("[tool.other]\nx = 1\n[tool.modelaudit]\nworkers = 5\n")
    assert (settled().workers, settled().config) == (5, "pyproject.toml")
    (elsewhere / "modelaudit.toml").write_text("workers = 6\n")
    assert (settled().workers, settled().config) == (6, "modelaudit.toml")
    (elsewhere / "modelaudit.toml").unlink()
    (elsewhere / "pyproject.toml").write_text("this is not TOML at all [")
    assert settled().config is None


def test_a_named_file(elsewhere: Path) -> None:
    """--config, or MODELAUDIT_CONFIG, instead of what lies in the working directory."""
    (elsewhere / "modelaudit.toml").write_text("workers = 6\n")
    (elsewhere / "mine.toml").write_text("workers = 7\n")
    assert settled(config="mine.toml").workers == 7
    assert settled(environ={"MODELAUDIT_CONFIG": "mine.toml"}).workers == 7


@pytest.mark.parametrize("name", ["modelaudit.toml", "pyproject.toml"])
@pytest.mark.parametrize("path", [".", "..", "file://{}", "{}/../{name}/.."])
def test_a_file_among_the_models_is_not_trusted(elsewhere: Path, name: str, path: str) -> None:
    """Whoever wrote the models could have written it; it counts when it is named."""
    table = "" if name == "modelaudit.toml" else "[tool.modelaudit]\n"
    (elsewhere / name).write_text(f'{table}suppress = ["shared-bomb=seen"]\n')
    paths = ["models", path.format(elsewhere, name=elsewhere.name)]
    found = resolve(paths, {}, environ={})
    assert found.suppress == ()
    assert found.config is None
    assert found.notices == (
        f"{name} lies inside what is being scanned and was not used; if you trust it, give --config {name}",
    )
    trusted = resolve(paths, {}, environ={}, config=name)
    assert trusted.suppress == (Suppression("seen", rule="shared-bomb", where=f"{name}: suppress"),)
    assert trusted.notices == ()


def test_limits_in_the_file(elsewhere: Path) -> None:
    """Any bound by its name; flags for the same bound are stronger."""
    (elsewhere / "modelaudit.toml").write_text(
        '[limits]\nworker_memory_bytes = "4GiB"\ndepth = 3\ntimeout_seconds = 5\nwhole-fraction = 0.25\n'
    )
    found = settled({"timeout": "6"}).limits
    assert found == Limits(worker_memory_bytes=4 * GIB, depth=3, timeout_seconds=6.0, whole_fraction=0.25)


# --- mistakes ---------------------------------------------------------------------------------------------------

SIZES = "a size; write bytes or a number with KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 10GB or 512MiB"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("format", "xml", "a format; write one of text, json, ndjson, sarif, ocsf"),
        ("timeout", "soon", "a number of seconds above 0 and up to 1000000, such as 300"),
        ("timeout", "0", "a number of seconds above 0 and up to 1000000, such as 300"),
        ("timeout", "nan", "a number of seconds above 0 and up to 1000000, such as 300"),
        ("timeout", "inf", "a number of seconds above 0 and up to 1000000, such as 300"),
        ("max_file_size", "10G", SIZES),
        ("max_file_size", "-1", SIZES),
        ("max_file_size", "1e9", SIZES),
        ("max_file_size", "", SIZES),
        ("max_file_size", "9" * 5000, SIZES),
        ("max_file_size", "9" * 400 + ".5PB", SIZES),
        ("max_file_size", "٣MB", SIZES),
        ("workers", "9" * 5000, "a whole number from 1 to 10000"),
        ("max_file_size", "0", "a size that can be used; at least 1 byte"),
        ("max_total_size", "99999999PB", "a size that can be used; at least 1 byte"),
        ("max_line_bytes", "100", "a size that can be used; at least 65536 bytes"),
        ("workers", "0", "a whole number from 1 to 10000"),
        ("workers", "two", "a whole number from 1 to 10000"),
        ("workers", "²", "a whole number from 1 to 10000"),
        ("concurrency", "10001", "a whole number from 1 to 10000"),
        ("fail_on", "debug", "a severity to fail on; write one of critical, warning, info"),
        ("fail_on", "bad", "a severity; write one of critical, warning, info, debug"),
        ("weights", "maybe", "a way to treat weights; write one of auto, on, off"),
        ("dry_run", "maybe", "yes or no; write one of 1, true, yes, on, 0, false, no, off"),
    ],
)
def test_what_is_wrong_is_said(name: str, value: str, wanted: str) -> None:
    """Where, what, and what to write instead; the same for flags and for the environment."""
    flag = "--" + name.replace("_", "-")
    assert refused({name: value}) == f"{flag}: {value!r} is not {wanted}"
    if value:
        variable = f"MODELAUDIT_{name.upper()}"
        assert refused(environ={variable: value}) == f"{variable}: {value!r} is not {wanted}"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"suppress": ["shared-bom"]}, "--suppress: there is no rule 'shared-bom'; did you mean shared-bomb"),
        ({"suppress": ["?"]}, "--suppress: there is no rule '?'; see: modelaudit rules"),
        (
            {"severity": ["shared-bomb"]},
            "--severity: 'shared-bomb' is not RULE=LEVEL, such as pickle-unknown-call=info",
        ),
        (
            {"severity": ["shared-bomb=bad"]},
            "--severity: shared-bomb: 'bad' is not a severity; write one of critical, warning, info, debug",
        ),
        ({"verbose": True, "quiet": True}, "--verbose and --quiet contradict each other: leave one out"),
    ],
)
def test_rules_and_contradictions(flags: dict[str, object], message: str) -> None:
    """A rule that does not exist cannot be suppressed by accident."""
    assert refused(flags).startswith(message)


def test_contradiction_between_places(elsewhere: Path) -> None:
    """Each side is named by where it was said."""
    (elsewhere / "modelaudit.toml").write_text("quiet = true\n")
    assert refused({"verbose": True}) == "--verbose and modelaudit.toml: quiet contradict each other: leave one out"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workers = 1\nworkers = 2", "conf.toml: not valid TOML: Cannot overwrite a value (at end of document)"),
        ("x = [" + "[" * 5000, "conf.toml: not valid TOML: maximum recursion depth exceeded"),
        ("workers = " + "9" * 5000, "conf.toml: not valid TOML: Exceeds the limit"),
        ("fail_up = 1", "conf.toml: unknown setting 'fail_up'; did you mean fail_on? Known: format, output, state"),
        ('paths = ["a"]', "conf.toml: unknown setting 'paths'. Known: format"),
        ("workers = true", "conf.toml: workers: True is not a whole number from 1 to 10000"),
        ("workers = 1.5", "conf.toml: workers: 1.5 is not a whole number from 1 to 10000"),
        ("max-file-size = true", f"conf.toml: max-file-size: True is not {SIZES}"),
        ("include = 3", "conf.toml: include: 3 is not a list of texts"),
        ('include = ["a", 3]', "conf.toml: include: ['a', 3] is not a list of texts"),
        ("output = 3", "conf.toml: output: 3 is not a text"),
        ("[severity]\nshared-bomb = 3", "conf.toml: severity: shared-bomb: 3 is not a severity; write one of"),
        ("limits = 3", "conf.toml: limits: not a table; write [limits] and one bound a line"),
        ("[limits]\ndept = 3", "conf.toml: limits: there is no bound 'dept'; did you mean depth?"),
        ("[limits]\ndepth = 0", "conf.toml: limits.depth: 0 is not a number above 0"),
        ("[limits]\ndepth = 1.5", "conf.toml: limits: Expected `int`, got `float` - at `$.depth`"),
    ],
)
def test_mistakes_in_the_file(elsewhere: Path, text: str, message: str) -> None:
    """The file and the key are named."""
    (elsewhere / "conf.toml").write_text(text)
    assert refused(config="conf.toml").startswith(message)


def test_files_that_cannot_be_read(elsewhere: Path) -> None:
    """A named file that is not there is an error, and so is one that is no settings file."""
    assert refused(config="nope.toml") == "nope.toml: cannot be read as settings: No such file or directory"
    assert refused(config="models") == "models: cannot be read as settings: Is a directory"
    (elsewhere / "large").write_bytes(b"#" * (MIB + 1))
    assert refused(config="large") == "large: larger than 1048576 bytes; this is no settings file"
    (elsewhere / "binary").write_bytes(b"\xff\xfe")
    assert refused(config="binary").startswith("binary: cannot be read as settings: 'utf-8' codec can't decode")


# --- paths ------------------------------------------------------------------------------------------------------


def test_targets(elsewhere: Path) -> None:
    """Paths from a file come after those from the command line, comments do not; names that are not UTF-8 survive."""
    (elsewhere / "list").write_bytes(b"# nightly\na.pkl\n\n  \ns3://b/x#y\r\n  # old.pkl\n sp ace \n./#c\nb\xff")
    expected = ("models", "a.pkl", "s3://b/x#y", " sp ace ", "./#c", "b\udcff")
    assert settled(targets="list").paths == expected
    assert settled(environ={"MODELAUDIT_TARGETS": "list"}).paths == expected
    assert resolve([], {}, environ={}, targets="list").paths == expected[1:]


def test_targets_that_are_of_no_use(elsewhere: Path) -> None:
    """No file, nothing in it, too much in it."""
    assert refused(targets="nope") == (
        "--targets nope: No such file or directory; name a file with one path a line, or -"
    )
    (elsewhere / "empty").write_text("\n\n")
    assert refused(targets="empty") == "--targets empty: no path in it; write one path a line"
    (elsewhere / "long").write_text("a\n" * 100_001)
    assert refused(targets="long") == (
        "--targets long: more than 100000 paths; split the file, or name folders and prefixes"
    )
    assert refused(targets="/dev/zero") == (
        "--targets /dev/zero: a line of 65536 characters or more; name a file with one path a line, or -"
    )


@pytest.mark.parametrize("paths", [[], [""], ["models", ""]])
def test_no_path(paths: list[str]) -> None:
    """An empty variable in a script must not scan nothing, or everything."""
    with pytest.raises(UsageError, match="no path to scan: name files, folders or s3://bucket/prefix/"):
        resolve(paths, {}, environ={})


# --- sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        (1, 1),
        ("1073741824", 1 << 30),
        ("12B", 12),
        ("10GB", 10**10),
        ("10 gb", 10**10),
        ("512MiB", 512 << 20),
        ("1.5KiB", 1536),
        ("1kb", 1000),
        ("2TB", 2 * 10**12),
        ("1PiB", 1 << 50),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_sizes(text: object, size: int) -> None:
    """Decimal and binary units, any case; plain bytes are exact."""
    assert size_bytes((text, "here")) == size


@given(st.integers(1, 2**63 - 1))
def test_plain_sizes_are_exact(size: int) -> None:
    """No float comes between."""
    assert size_bytes((str(size), "here")) == size


@given(st.text(max_size=20))
def test_other_sizes_are_refused(text: str) -> None:
    """Any text is a size or a usage error."""
    with contextlib.suppress(UsageError):
        assert size_bytes((text, "here")) > 0


def test_what_the_run_record_tells(elsewhere: Path) -> None:
    """What shapes the result and is not the default."""
    flags: dict[str, object] = {"timeout": "5", "severity": ["shared-bomb=info"], "blacklist": ["x"], "verbose": True}
    assert settled(flags).worth_knowing() == {
        "fail_on": "warning",
        "blacklist": ["x"],
        "severity.shared-bomb": "info",
        "limits.timeout_seconds": 5.0,
    }
    assert settled().worth_knowing() == {"fail_on": "warning"}


def test_workers_follow_the_cores_that_may_be_used() -> None:
    """A container or taskset with fewer cores has fewer workers."""
    assert default_workers() == len(os.sched_getaffinity(0))


TODAY = datetime.date(2026, 7, 31)


def test_suppressions_in_a_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables name a rule, places or one finding, a reason and a last day; what has ended is told and not used."""
    monkeypatch.setattr("modelaudit.settings.today", lambda: TODAY)
    (elsewhere / "modelaudit.toml").write_text(f"""
        [[suppress]]
        rule = "pickle-*"
        path = "s3://bucket/legacy/*"
        reason = "retired in March"
        expires = {TODAY.isoformat()}
        [[suppress]]
        finding = "f00d"
        reason = "looked at"
        expires = "2020-01-31"
    """)
    found = settled()
    where = "modelaudit.toml: suppress (1)"
    assert found.suppress == (
        Suppression("retired in March", "pickle-*", "s3://bucket/legacy/*", None, TODAY.isoformat(), where),
    )
    assert found.notices == (
        "modelaudit.toml: suppress (2): the suppression of finding f00d ended on 2020-01-31; its findings count",
    )
    assert found.worth_knowing()["suppress"] == ["rule pickle-*, path s3://bucket/legacy/*: retired in March"]


def test_a_reason_may_be_left_out_for_one_run_only(elsewhere: Path) -> None:
    """On the command line it is said that there is none; what lasts must have one."""
    assert [each.reason for each in settled({"suppress": ["shared-bomb"]}).suppress] == ["no reason was given"]
    wanted = "shared-bomb has no reason; write shared-bomb=why these findings are accepted"
    assert refused(environ={"MODELAUDIT_SUPPRESS": "shared-bomb"}) == f"MODELAUDIT_SUPPRESS: {wanted}"
    (elsewhere / "modelaudit.toml").write_text('suppress = ["shared-bomb"]')
    assert refused() == f"modelaudit.toml: suppress: {wanted}"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('rule = "shared-bomb"', "has no reason; write reason = why these findings are accepted"),
        ('reason = "because"', "says nothing of what is accepted; give rule, path or finding"),
        ('rule = "shared-bom"\nreason = "x"', "there is no rule 'shared-bom'; did you mean shared-bomb"),
        (
            'rules = "shared-bomb"\nreason = "x"',
            "unknown key 'rules'; did you mean rule? Known: rule, path, finding, reason, expires",
        ),
        ('rule = 3\nreason = "x"', "rule: 3 is not a text"),
        ('path = "*"\nreason = " "', "reason: ' ' is not a text"),
        ('path = "*"\nreason = "x"\nexpires = "soon"', "expires: 'soon' is not a date such as 2027-01-31"),
    ],
)
def test_suppressions_that_say_too_little(elsewhere: Path, table: str, message: str) -> None:
    """Each mistake is told with its place."""
    (elsewhere / "modelaudit.toml").write_text(f"[[suppress]]\n{table}\n")
    said = refused()
    assert said.startswith("modelaudit.toml: suppress (1):")
    assert message in said
