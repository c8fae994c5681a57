"""ClickHouse reads the NDJSON as it lies there: types inferred right, integers and Unicode unharmed."""

import json
from pathlib import Path

import chdb

from tests.cli.program import run
from tests.shippers.awkward import folder, records, uris


def test_types_are_inferred(tmp_path: Path) -> None:
    """Numbers are numbers, texts texts, findings a list of objects; sums and names come out as they went in."""
    folder(tmp_path, 40)
    done = run("scan", "models", "--format", "ndjson", "--heartbeat", "0.1", "-o", "audit.ndjson", cwd=tmp_path)
    assert done.returncode == 1
    lines = records(tmp_path / "audit.ndjson")
    files = [line for line in lines if line["type"] == "file"]
    table = f"file('{tmp_path / 'audit.ndjson'}', 'JSONEachRow')"
    kinds = {name: kind for name, kind, *_ in asked(f"DESCRIBE {table}")}
    assert kinds["size"] == kinds["bytes_read"] == "Nullable(Int64)"
    assert kinds["uri"] == kinds["status"] == kinds["type"] == "Nullable(String)"
    assert kinds["duration_ms"] == "Nullable(Float64)"
    assert kinds["findings"].startswith("Array(Tuple(") or "Array" in kinds["findings"]
    [[count, size, read]] = asked(f"SELECT count(), sum(size), sum(bytes_read) FROM {table} WHERE type = 'file'")
    assert (int(count), int(size), int(read)) == (
        len(files),
        sum(line["size"] for line in files),
        sum(line["bytes_read"] for line in files),
    )
    names = [row[0] for row in asked(f"SELECT uri FROM {table} WHERE type = 'file' ORDER BY uri")]
    assert sorted(names) == uris(lines)
    [[critical]] = asked(f"SELECT count() FROM {table} WHERE severity = 'critical'")
    assert int(critical) == 1


def asked(query: str) -> list[list[str]]:
    """The rows that ClickHouse answers with."""
    answer = str(chdb.query(query, "JSONCompactEachRow"))
    return [json.loads(line) for line in answer.splitlines()]
