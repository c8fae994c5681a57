"""Cards: the licence of their front matter, and data sets without one."""

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.model import Inspection
from tests.samples.licensefiles import card


def look(data: bytes, name: str = "README.md") -> Inspection:
    return inspect(BytesBlob(data, Place(name)), uri=name)


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings}


def test_the_name_beside_other_counts() -> None:
    """`license: other` stands for what `license_name` says."""
    found = look(card("license: other\nlicense_name: flux-1-dev-non-commercial-license\nlicense_link: LICENSE.md"))
    assert [(each.expression, each.declared) for each in found.licenses] == [
        ("LicenseRef-scancode-flux-1-nc", "flux-1-dev-non-commercial-license")
    ]
    assert "license-noncommercial" in rules(found)


DATASETS = {
    "tasks": "task_categories:\n- question-answering\nsize_categories:\n- 1K<n<10K",
    "splits": "dataset_info:\n  features:\n  - name: text\n    dtype: string",
    "configs": "configs:\n- config_name: default\n  data_files: data.csv",
}


@pytest.mark.parametrize("front", DATASETS.values(), ids=DATASETS)
def test_a_data_set_without_a_licence_is_told(front: str) -> None:
    """As information, and not when it has one, or when the card is a model's."""
    assert "model-card-dataset-unlicensed" in rules(look(card(front)))
    assert "model-card-dataset-unlicensed" not in rules(look(card(f"{front}\nlicense: cc0-1.0")))
    assert "model-card-dataset-unlicensed" not in rules(look(card(f"{front}\npipeline_tag: question-answering")))


def test_data_sets_that_a_model_was_made_from_are_told() -> None:
    """By name; a card that names none is silent."""
    found = look(card("license: mit\ndatasets:\n- acme/talk\n- acme/code"))
    messages = [finding.message for finding in found.findings if finding.rule == "model-card-datasets"]
    assert messages == ["The card names 2 data sets and none of their licences: acme/talk, acme/code"]
    assert not look(card("license: mit\ndatasets: []")).findings


@pytest.mark.parametrize("name", ["notes.md", "README.md", "MODEL_CARD.markdown"])
def test_text_without_front_matter_is_no_card(name: str) -> None:
    """Neither is Markdown with a line across the page."""
    assert "model_card" not in look(b"# A model\n\nlicense: mit\n", name).formats
    assert not look(b"---\nA line above, none below: cc-by-nc-4.0\n", name).licenses


@pytest.mark.parametrize("front", ["license: [", "a: &a [*a]\nlicense: *a", "- 1\n- 2", "license:\n  x: y", ""])
def test_odd_front_matter_states_nothing(front: str) -> None:
    """And breaks nothing."""
    found = look(card(front))
    assert found.status in ("scanned", "partial")
    assert not found.licenses
