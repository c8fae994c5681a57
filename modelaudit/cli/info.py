"""`modelaudit rules`, `formats` and `doctor`: what it knows, and what works on this machine."""

import importlib
import importlib.metadata
import platform
import sys
from typing import Annotated, Literal

import msgspec
import typer

from modelaudit import __version__, catalogue
from modelaudit.catalogue import Catalogue, Format, Rule
from modelaudit.errors import UsageError
from modelaudit.workers.cage import abilities
from modelaudit.workers.wire import Ability

As = Annotated[Literal["text", "json"], typer.Option("--format", "-f", help="For people or for scripts.")]
_SOURCES = {"local files": None, "s3:// and r2://": "aiobotocore"}


def rules(
    rule_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One rule, in full.")] = None,
    format: As = "text",
) -> int:
    """Show the rules: what each finds, why it matters, what to do."""
    known = catalogue.load().rules
    if rule_id is not None and rule_id not in known:
        near = [name for name in known if rule_id in name][:5]
        raise UsageError(f"no rule {rule_id!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    chosen = [known[rule_id]] if rule_id else list(known.values())
    if format == "json":
        typer.echo(msgspec.json.format(msgspec.json.encode(chosen)).decode())
    elif rule_id:
        typer.echo(_rule(chosen[0]))
    else:
        for rule in chosen:
            typer.echo(f"{rule.severity:<9} {rule.id:<44} {rule.title}")
    return 0


def _rule(rule: Rule) -> str:
    lines = [rule.id, f"  {rule.title} ({rule.severity})", f"  Why: {rule.why}", f"  Advice: {rule.advice}"]
    references = [*([rule.cwe] if rule.cwe else []), *rule.cve]
    return "\n".join([*lines, *([f"  See: {', '.join(references)}"] if references else [])])


def formats(format: As = "text") -> int:
    """Show the formats: which are scanned, which are only recognised."""
    known = catalogue.load().formats.values()
    if format == "json":
        typer.echo(msgspec.json.format(msgspec.json.encode(list(known))).decode())
        return 0
    for entry in known:
        state = "scanned" if entry.scanned else "recognised, not scanned"
        typer.echo(f"{entry.id:<14} {state:<24} {entry.title}  {' '.join(entry.extensions)}")
    return 0


def doctor(
    show_failed: Annotated[bool, typer.Option("--show-failed", help="Only what is not ready.")] = False,
    format: As = "text",
) -> int:
    """Show what is ready on this machine: scanners, sources, the cage, versions. Exit code 2 if something is not."""
    checks = [("scanner", check) for check in _scanners(catalogue.load())]
    checks += [("source", check) for check in _sources()]
    checks += [("cage", wall) for wall in abilities()]
    shown = [(kind, check) for kind, check in checks if not (show_failed and check.ready)]
    if format == "json":
        versions = {"modelaudit": __version__, "python": platform.python_version(), "system": platform.platform()}
        entries = [{"kind": kind, "name": c.name, "ready": c.ready, "detail": c.detail} for kind, c in shown]
        typer.echo(msgspec.json.format(msgspec.json.encode({"versions": versions, "checks": entries})).decode())
    else:
        typer.echo(f"modelaudit {__version__}, Python {platform.python_version()}, {platform.platform()}")
        for kind, check in shown:
            typer.echo(f"{'ready    ' if check.ready else 'NOT READY'} {kind:<8} {check.name:<18} {check.detail}")
        if show_failed and not shown:
            typer.echo("Everything is ready.")
    return 0 if all(check.ready for _, check in checks) else 2


def _scanners(known: Catalogue) -> list[Ability]:
    return [_scanner(entry) for entry in known.formats.values() if entry.scanned]


def _scanner(entry: Format) -> Ability:
    try:
        importlib.import_module(f"modelaudit.scanners.{entry.id}")
    except ImportError as error:
        return Ability(entry.id, False, f"{error}; mend it with: {sys.executable} -m pip install --upgrade modelaudit")
    return Ability(entry.id, True, entry.title)


def _sources() -> list[Ability]:
    found = []
    for name, package in _SOURCES.items():
        try:
            version = f"{package} {importlib.metadata.version(package)}" if package else "nothing needed"
        except importlib.metadata.PackageNotFoundError:
            found.append(Ability(name, False, f"mend it with: {sys.executable} -m pip install {package}"))
        else:
            found.append(Ability(name, True, version))
    return found
