"""The sample library keeps its word: every technique that can be shown to work is shown to."""

import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.samples import hostile
from tests.samples.quine import gzip_quine
from tests.samples.sample import CANARY, HARM, UNPROVEN, Sample

ROOT = Path(__file__).parents[1]
SAMPLES = list(hostile())


@pytest.fixture(scope="session")
def proofs() -> dict[str, dict[str, object]]:
    """One run of the proofs for all samples: id to what came of it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.samples.prove"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stderr == ""
    return {line["id"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.loader], ids=lambda sample: sample.id)
def test_technique_works(sample: Sample, proofs: dict[str, dict[str, object]]) -> None:
    """The twin calls the canary when it is loaded; a table row names a callable that is there."""
    assert proofs[sample.id]["ok"], proofs[sample.id]["detail"]


def test_samples_without_proof_say_why() -> None:
    """A sample that no loader runs says so, and a sample that one runs has a twin that differs from it."""
    for sample in SAMPLES:
        if not sample.loader:
            assert UNPROVEN in sample.why, sample.id


def test_ids_are_unique_and_begin_with_their_class() -> None:
    ids = [sample.id for sample in SAMPLES]
    assert len(ids) == len(set(ids))
    assert all(sample.id.startswith(f"{sample.bypass}-") for sample in SAMPLES)


def test_every_class_has_samples() -> None:
    """Each documented bypass, from the first to the last, is covered."""
    wanted = {f"B{number:03d}" for number in range(1, 86)}
    assert wanted == {sample.bypass for sample in SAMPLES}


def test_bytes_are_the_same_every_time_and_small() -> None:
    """A sample is built from code alone, so it is the same on every run; none is larger than 30 MB."""
    seen: dict[tuple[str, bytes], str] = {}
    for sample in SAMPLES:
        data = sample.data
        assert len(data) < 30_000_000, sample.id
        digest = hashlib.sha256(data).digest()
        assert sample.bypass == "B085" or digest == hashlib.sha256(sample.data).digest(), sample.id
        assert seen.setdefault((sample.filename, digest), sample.id) == sample.id, "twice the same file"


def test_quine_unpacks_to_itself() -> None:
    """The gzip of the exhaustion family is its own content, checksum included."""
    assert gzip.decompress(gzip_quine()) == gzip_quine()


def test_payloads_are_harmless() -> None:
    """What the samples name is an echo; what the twins name is the canary."""
    assert (HARM.module, HARM.name, HARM.argument) == ("os", "system", "echo modelaudit-sample")
    assert (CANARY.module, CANARY.name) == ("canary", "mark")
