"""`modelaudit scan`: from flags to a run, and from its summary to the exit code."""

import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Annotated, Literal

import anyio
import anyio.to_thread
import typer

from modelaudit import __version__
from modelaudit.errors import SinkClosed, SinkFailed, UsageError
from modelaudit.limits import Limits
from modelaudit.logs import logger
from modelaudit.model import Ended, FileReport, RunRecord, Severity
from modelaudit.pipeline import run as run_pipeline
from modelaudit.pipeline.statistics import Statistics
from modelaudit.progress import Bar, Progress, Silent
from modelaudit.settings import Options, Settings, resolve
from modelaudit.sinks.interface import Out, Sink

SCHEMA = "modelaudit/1"
_READING, _OUTPUT, _VERDICT, _TALK = "What is read", "Output", "What counts", "Talk"
_DEFAULTS = Limits()

EPILOG = """
Examples:

  modelaudit scan model.pkl weights.pt models/

  modelaudit scan s3://my-bucket/models/ --format ndjson --output audit.ndjson --fail-on critical

  modelaudit scan s3://my-bucket --include '*.pt' --max-total-size 50GB --timeout 60

Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 no findings but something could not be scanned.
"""


def scan(
    paths: Annotated[list[str], typer.Argument(metavar="PATH…", help="Files, folders, s3://… and r2://… URLs, mixed.")],
    format: Annotated[
        Literal["text", "json", "ndjson"] | None,
        typer.Option("--format", "-f", help="Default: text on a terminal, ndjson elsewhere.", rich_help_panel=_OUTPUT),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there.", rich_help_panel=_OUTPUT)
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help=f"Scanning time for one object. Default: {_DEFAULTS.timeout_seconds:g}.",
            rich_help_panel=_READING,
        ),
    ] = None,
    max_file_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Skip larger objects: 10GB, 512MiB, bytes.", rich_help_panel=_READING),
    ] = None,
    max_total_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Read no more than this in all.", rich_help_panel=_READING)
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only these objects.", rich_help_panel=_READING)
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Not these objects.", rich_help_panel=_READING)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be read; read nothing.", rich_help_panel=_READING)
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(
            metavar="N", help=f"Objects in flight. Default: {_DEFAULTS.concurrency}.", rich_help_panel=_READING
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Scanning processes. Default: one a core.", rich_help_panel=_READING),
    ] = None,
    fail_on: Annotated[
        Severity | None,
        typer.Option(help="Lowest severity for exit code 1. Default: warning.", rich_help_panel=_VERDICT),
    ] = None,
    blacklist: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Names that hold this text are critical.", rich_help_panel=_VERDICT),
    ] = None,
    suppress: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="Findings of this rule become debug.", rich_help_panel=_VERDICT),
    ] = None,
    severity: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE=LEVEL", help="Another severity for this rule.", rich_help_panel=_VERDICT),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Settings. Default: modelaudit.toml, or \\[tool.modelaudit] of pyproject.toml, in this folder.",
            rich_help_panel=_TALK,
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.", rich_help_panel=_TALK)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Findings only.", rich_help_panel=_TALK)] = False,
) -> int:
    """Scan model files for attacks. Nothing is executed, nothing is downloaded whole that need not be."""
    said = Options(
        format=format,
        output=output,
        timeout=timeout,
        max_file_size=max_file_size,
        max_total_size=max_total_size,
        include=tuple(include) if include else None,
        exclude=tuple(exclude) if exclude else None,
        dry_run=dry_run or None,
        concurrency=concurrency,
        workers=workers,
        fail_on=fail_on,
        blacklist=tuple(blacklist) if blacklist else None,
        suppress=tuple(suppress) if suppress else None,
        severity=_levels(severity) if severity else None,
        verbose=verbose or None,
        quiet=quiet or None,
    )
    return execute(resolve(tuple(paths), said, config))


def _levels(pairs: Sequence[str]) -> dict[str, Severity]:
    levels = {}
    for pair in pairs:
        rule, _, level = pair.partition("=")
        try:
            levels[rule] = Severity(level)
        except ValueError:
            known = ", ".join(Severity)
            raise UsageError(f"--severity {pair}: write RULE=LEVEL, where LEVEL is one of {known}") from None
    return levels


def execute(settings: Settings) -> int:
    """Run an audit as `settings` say; gives the exit code."""
    statistics = Statistics(settings.fail_on)
    run = RunRecord(SCHEMA, __version__, str(uuid.uuid4()), time.time(), settings.paths)
    log = logger(verbose=settings.verbose, quiet=settings.quiet)
    with ExitStack() as stack:
        out = stack.enter_context(closing(Out(settings.output)))
        sink = _sink(settings, out)
        progress: Progress = Silent()
        if sys.stderr.isatty() and not settings.quiet:
            progress = stack.enter_context(closing(Bar()))

        async def deliver(batch: Sequence[FileReport]) -> None:
            await anyio.to_thread.run_sync(_write, sink, statistics, batch)

        async def audit() -> Ended:
            await anyio.to_thread.run_sync(sink.start, run)
            return await run_pipeline(settings, deliver, progress, signals=True)

        log.info("run begins", run_id=run.run_id, workers=settings.workers, concurrency=settings.limits.concurrency)
        try:
            ended = anyio.run(audit)
            stack.callback(log.info, "run ends", run_id=run.run_id, ended=ended)
            sink.finish(statistics.summary(run.run_id, ended))
        except SinkClosed:
            return statistics.exit_code("closed")
        except SinkFailed as failure:
            sys.stderr.write(f"modelaudit: {failure}\n")
            return statistics.exit_code("closed")
    return statistics.exit_code(ended)


def _write(sink: Sink, statistics: Statistics, batch: Sequence[FileReport]) -> None:
    for report in batch:
        sink.write(report)
        statistics.add(report)


def _sink(settings: Settings, out: Out) -> Sink:
    terminal = settings.output is None and sys.stdout.isatty()
    kind = settings.format or ("text" if terminal else "ndjson")
    if kind == "text":
        from modelaudit.sinks.text import TextSink

        return TextSink(out, colour=terminal and settings.colour, verbose=settings.verbose, quiet=settings.quiet)
    if kind == "json":
        from modelaudit.sinks.json import JsonSink

        return JsonSink(out)
    from modelaudit.sinks.ndjson import NdjsonSink

    return NdjsonSink(out, settings.limits.line_bytes)
