"""`modelaudit scan`: from options to settings."""

from modelaudit.cli import options

EPILOG = """
Examples:

  modelaudit scan model.pkl weights.pt models/

  modelaudit scan hf://owner/repo oci://ghcr.io/acme/models:v1

A bucket every night, reading what is new, failing on critical findings only:

  modelaudit scan s3://my-bucket --state audit.db --output audit.ndjson --fail-on critical

  modelaudit scan s3://my-bucket --include '*.pt' --max-total-size 50GB --timeout 60

  modelaudit scan models/ --format json | jq '.issues\\[].message'

Exit codes: 0 nothing at or above --fail-on; 1 findings, whatever else happened (also after Ctrl-C);
2 no findings, but something could not be scanned, the run was stopped, nothing was there, or the usage was wrong.
Ctrl-C, SIGTERM and SIGHUP end the run with what is known; a second one ends it at once, with 130, 143 or 129.
"""


def scan(
    paths: options.Paths = None,
    targets: options.Targets = None,
    include: options.Include = None,
    exclude: options.Exclude = None,
    max_file_size: options.MaxFileSize = None,
    max_total_size: options.MaxTotalSize = None,
    timeout: options.Timeout = None,
    concurrency: options.Concurrency = None,
    workers: options.Workers = None,
    weights: options.Weights = None,
    state: options.State = None,
    hash: options.Hash = False,
    dry_run: options.DryRun = False,
    fail_on: options.FailOn = None,
    strict_license: options.StrictLicense = False,
    blacklist: options.Blacklist = None,
    suppress: options.Suppress = None,
    severity: options.SeverityOf = None,
    format: options.FormatOf = None,
    output: options.OutputFile = None,
    sbom: options.Sbom = None,
    max_line_bytes: options.MaxLineBytes = None,
    heartbeat: options.Heartbeat = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    ca_bundle: options.CaBundle = None,
    registry_uri: options.RegistryUri = None,
    jfrog_api_token: options.JfrogApiToken = None,
    jfrog_access_token: options.JfrogAccessToken = None,
    config: options.Config = None,
) -> int:
    """Scan model files for attacks. Nothing is executed; of large objects only what matters is read."""
    given: dict[str, object] = dict(locals())
    for name in ("paths", "targets", "config"):
        del given[name]
    flags = {name: None if value is False or value == [] else value for name, value in given.items()}
    from modelaudit.cli.audit import execute
    from modelaudit.settings import resolve

    return execute(resolve(paths or (), flags, config=config, targets=targets))
