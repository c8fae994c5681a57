"""Where records go: NDJSON, text, JSON, SARIF, OCSF, an SBOM. Each is imported when it is used."""

from modelaudit.settings import Settings
from modelaudit.sinks.interface import Sink
from modelaudit.sinks.output import Output


def _main_sink(settings: Settings, output: Output) -> Sink:
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
    if settings.format == "ocsf":
        from modelaudit.sinks.ocsf import OcsfSink

        return OcsfSink(output, settings.limits.line_bytes)
    from modelaudit.sinks.ndjson import NdjsonSink

    return NdjsonSink(output, settings.limits.line_bytes)


def open_sink(settings: Settings, output: Output) -> Sink:
    """The sink that `settings` ask for, by default text on a terminal and NDJSON elsewhere; with an SBOM, both.

    Closing it closes `output`. Colour is left out where there is no terminal. Raises `UsageError` when the file of the
    SBOM cannot be opened.
    """
    if settings.sbom is None:
        return _main_sink(settings, output)
    from modelaudit.sinks.sbom import SbomSink
    from modelaudit.sinks.tee import Tee

    return Tee((_main_sink(settings, output), SbomSink(Output.file(settings.sbom, option="--sbom"))))
