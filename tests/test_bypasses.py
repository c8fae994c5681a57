"""Every documented way past scanners of model files is caught, in every variant of the sample library."""

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.model import Inspection, Severity
from tests.samples import hostile
from tests.samples.sample import Sample

SAMPLES = list(hostile())


def worst(inspection: Inspection) -> int:
    """The rank of the worst finding; -1 when there is none."""
    return max((finding.severity.rank for finding in inspection.findings), default=-1)


def told(inspection: Inspection) -> str:
    """What came out, for the assertion's message."""
    found = ", ".join(f"{finding.severity}:{finding.rule}" for finding in inspection.findings[:5])
    return f"{inspection.status} ({inspection.reason}) formats={inspection.formats} findings=[{found}]"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.id)
def test_hostile_sample_is_caught(sample: Sample) -> None:
    """The worst finding reaches what the sample demands, or the object ends as honestly as it allows."""
    result = inspect(BytesBlob(sample.data, Place(sample.filename)), Limits(), uri=sample.filename)
    reached = worst(result) >= Severity(sample.expect).rank
    assert reached or result.status in sample.ends, f"{told(result)}; {sample.why}"
