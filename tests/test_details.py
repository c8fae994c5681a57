"""What log pipelines depend on: a name in the details means values of one type, whichever rule says it."""

from collections import defaultdict

from modelaudit import inspect
from modelaudit.model import Scalar
from tests.samples import hostile


def kind(value: Scalar | list[str]) -> str:
    """The type as a table's column would have it."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "list" if isinstance(value, list) else "text"


def test_each_name_has_one_type() -> None:
    """Over the findings of all hostile samples. Readers that infer columns fail on the first row that differs."""
    seen: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for sample in hostile():
        for finding in inspect(sample.data, uri=sample.id).findings:
            for name, value in finding.details.items():
                if value is not None:
                    seen[name][kind(value)].add(finding.rule)
    assert {name: dict(kinds) for name, kinds in seen.items() if len(kinds) > 1} == {}
    assert len(seen) > 50
