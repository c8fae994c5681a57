"""Where records go: NDJSON, text, JSON, SARIF. Each is imported when it is used."""

from modelaudit.settings import Settings
from modelaudit.sinks.interface import Sink
from modelaudit.sinks.output import Output


def open_sink(settings: Settings, output: Output) -> Sink:
    """The sink that `settings` ask for, by default text on a terminal and NDJSON elsewhere.

    Closing it closes `output`. Colour is left out where there is no terminal.
    """
    if settings.format == "json":
        from modelaudit.sinks.json import JsonSink

        return JsonSink(output)
    if settings.format == "text" or (settings.format is None and output.terminal):
        from modelaudit.sinks.text import TextSink

        return TextSink(
            output,
            colour=settings.colour and output.terminal,
            verbose=settings.verbose,
            quiet=settings.quiet,
            fail_on=settings.fail_on,
        )
    if settings.format == "sarif":
        from modelaudit.sinks.sarif import SarifSink

        return SarifSink(output)
    from modelaudit.sinks.ndjson import NdjsonSink

    return NdjsonSink(output, settings.limits.line_bytes)
