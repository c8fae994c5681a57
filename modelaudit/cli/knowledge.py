"""`modelaudit rules`, `formats` and `schema`: what it looks for, in what, and what it says."""

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from modelaudit.cli.printing import As, Form, as_json, put
from modelaudit.errors import UsageError

if TYPE_CHECKING:
    from modelaudit.catalogue import Catalogue, Rule

RULES_EPILOG = "Examples: modelaudit rules · modelaudit rules pickle · modelaudit rules --format json"


def rules(
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One rule in full, or the rules of one format.")
    ] = None,
    format: As = Form.TEXT,
) -> int:
    """Show the rules: what each finds, why it matters, what to do."""
    from modelaudit import catalogue

    known = catalogue.load()
    chosen = list(known.rules.values()) if id is None else _chosen(known, id)
    if format is Form.JSON:
        put(as_json(chosen))
    elif id in known.rules:
        put(_in_full(chosen[0]))
    else:
        width = max((len(rule.id) for rule in chosen), default=0)
        put("".join(f"{rule.severity:<9} {rule.id:<{width}}  {rule.title}\n" for rule in chosen))
    return 0


def _chosen(known: "Catalogue", id: str) -> "list[Rule]":
    if id in known.rules:
        return [known.rules[id]]
    of_format = [rule for rule in known.rules.values() if rule.id.startswith(f"{id}-")]
    if of_format:
        return of_format
    near = difflib.get_close_matches(id, [*known.rules, *known.formats], 3)
    raise UsageError(
        f"there is no rule {id!r}; " + (f"did you mean {' or '.join(near)}?" if near else "see: modelaudit rules")
    )


def _in_full(rule: "Rule") -> str:
    references = [*([rule.cwe] if rule.cwe else []), *rule.cve]
    lines = [
        f"{rule.id}: {rule.title}",
        f"  Severity: {rule.severity}",
        f"  Message:  {rule.message}",
        f"  Why:      {rule.why}",
        f"  Advice:   {rule.advice}",
        *([f"  See:      {', '.join(references)}"] if references else []),
    ]
    return "\n".join(lines) + "\n"


def formats(format: As = Form.TEXT) -> int:
    """Show the formats: which are scanned, and which are only recognised."""
    from modelaudit import catalogue

    known = list(catalogue.load().formats.values())
    if format is Form.JSON:
        put(as_json(known))
        return 0
    wide = max((len(entry.id) for entry in known), default=0)
    title = max((len(entry.title) for entry in known), default=0)
    for entry in known:
        state = "scanned" if entry.scanned else "recognised"
        put(f"{entry.id:<{wide}}  {state:<10}  {entry.title:<{title}}  {' '.join(entry.extensions)}".rstrip() + "\n")
    return 0


def output_schema() -> bytes:
    """The JSON Schema of a line of NDJSON output, made from the types."""
    import msgspec

    from modelaudit.model import FileReport, Heartbeat, RunRecord, Summary

    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of `modelaudit scan --format ndjson`",
        **msgspec.json.schema(RunRecord | FileReport | Heartbeat | Summary),
    }
    return msgspec.json.format(msgspec.json.encode(schema)) + b"\n"


def schema() -> int:
    """Show the JSON Schema of a line of NDJSON output."""
    put(output_schema().decode())
    return 0
