"""What the user accepts is set apart with the reason, counts for nothing, and is never dropped."""

import pytest

from modelaudit.model import Severity
from modelaudit.pipeline.policy import Policy
from modelaudit.settings import Suppression
from tests.sinks.records import EVIL, finding, report, summary


def test_accepted_findings_are_set_apart() -> None:
    """They carry the reason; the record's severity is that of the rest."""
    judged = Policy(suppress=[Suppression("known", rule="pickle-import")]).judge(EVIL)
    assert judged.findings == ()
    assert judged.severity is None
    assert [each.suppressed for each in judged.suppressed] == ["known", "known"]
    assert [each.severity for each in judged.suppressed] == [each.severity for each in EVIL.findings]
    assert judged.findings_cut == EVIL.findings_cut


@pytest.mark.parametrize(
    ("suppression", "accepted"),
    [
        (Suppression("r", rule="pickle-import"), True),
        (Suppression("r", rule="pickle-*"), True),
        (Suppression("r", rule="pickle-call"), False),
        (Suppression("r", rule="PICKLE-IMPORT"), False),
        (Suppression("r", path="models/*"), True),
        (Suppression("r", path="*.pkl"), True),
        (Suppression("r", path="evil.pkl"), False),
        (Suppression("r", path="other/*"), False),
        (Suppression("r", finding="f00d"), True),
        (Suppression("r", finding="f00"), False),
        (Suppression("r", rule="pickle-import", path="other/*"), False),
        (Suppression("r", rule="pickle-import", path="models/*", finding="f00d"), True),
    ],
)
def test_everything_that_is_named_must_match(suppression: Suppression, accepted: bool) -> None:
    """A rule or a glob over rules, a glob over the whole address, an id."""
    policy = Policy(suppress=[suppression])
    judged = policy.judge(EVIL)
    assert (len(judged.suppressed), len(judged.findings)) == ((2, 0) if accepted else (0, 2))
    assert policy.unused == ([] if accepted else [suppression])


def test_the_rest_still_counts() -> None:
    """Another finding of the same object keeps its severity, and the numbers add up."""
    other = report("models/two.pkl", findings=(finding(), finding(Severity.WARNING, "models/two.pkl:inner", None)))
    policy = Policy(suppress=[Suppression("known", path="models/evil.pkl")], severity={"pickle-import": Severity.INFO})
    numbers = summary([policy.judge(EVIL), policy.judge(other)])
    assert (numbers.findings_total, numbers.suppressed_total, numbers.worst) == (2, 2, Severity.INFO)
    assert numbers.exit_code == 0
