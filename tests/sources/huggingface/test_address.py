"""What addresses and URLs of pages name, and which URLs are a hub's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.settings.reach import access_of
from modelaudit.sources import source_for
from modelaudit.sources.huggingface.address import Repository, Wanted, endpoint, wanted

MIRROR = Access(variables={"HF_ENDPOINT": "https://mirror.test:8443/artifactory/api/huggingfaceml/hub/"})
MODEL = Repository("models", "owner/repo")
WEB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("hf://owner/repo", Wanted(MODEL)),
        ("HF://owner/repo/", Wanted(MODEL)),
        ("hf://owner/repo@v1.0", Wanted(MODEL, "v1.0")),
        ("hf://owner/repo/a/b c#.bin", Wanted(MODEL, "", "a/b c#.bin")),
        ("hf://owner/repo@main/a/x@y.bin", Wanted(MODEL, "main", "a/x@y.bin")),
        ("hf://owner/repo@refs/pr/12/a.bin", Wanted(MODEL, "refs/pr/12", "a.bin")),
        ("hf://owner/repo@refs/pr/12", Wanted(MODEL, "refs/pr/12")),
        ("hf://owner/repo@feature%2Fx/a.bin", Wanted(MODEL, "feature/x", "a.bin")),
        ("hf://gpt2", Wanted(Repository("models", "gpt2"))),
        ("hf://gpt2@main/a.bin", Wanted(Repository("models", "gpt2"), "main", "a.bin")),
        ("hf://datasets/owner/data/x.csv", Wanted(Repository("datasets", "owner/data"), "", "x.csv")),
        ("hf://datasets/squad", Wanted(Repository("datasets", "squad"))),
        ("hf://spaces/owner/app@main", Wanted(Repository("spaces", "owner/app"), "main")),
        ("hf://models/owner/repo", Wanted(MODEL)),
        (f"{WEB}/owner/repo", Wanted(MODEL)),
        (f"{WEB}/owner", Wanted(Repository("models", "owner"))),
        ("http://hf.co/owner/repo/", Wanted(MODEL)),
        (f"{WEB}/owner/repo/tree/main", Wanted(MODEL, "main")),
        (f"{WEB}/owner/repo/tree/main/a/b", Wanted(MODEL, "main", "a/b")),
        (f"{WEB}/owner/repo/tree/refs%2Fpr%2F1/a", Wanted(MODEL, "refs/pr/1", "a")),
        (f"{WEB}/owner/repo/blob/main/a%20b.bin?x=1#L3", Wanted(MODEL, "main", "a b.bin")),
        (f"{WEB}/owner/repo/resolve/v1/a.bin?download=true", Wanted(MODEL, "v1", "a.bin")),
        (f"{WEB}/gpt2/resolve/main/tree/a.bin", Wanted(Repository("models", "gpt2"), "main", "tree/a.bin")),
        (f"{WEB}/datasets/owner/data/raw/main/x.csv", Wanted(Repository("datasets", "owner/data"), "main", "x.csv")),
        (f"{WEB}/spaces/owner/app/blob/main/app.py", Wanted(Repository("spaces", "owner/app"), "main", "app.py")),
        ("https://mirror.test:8443/artifactory/api/huggingfaceml/hub/owner/repo/tree/main", Wanted(MODEL, "main")),
    ],
)
def test_addresses(path: str, expected: Wanted) -> None:
    """Each way to write a place leads to it; what people are shown is an address of the same place."""
    assert wanted(path, MIRROR) == expected
    assert wanted(expected.uri, MIRROR) == expected


@pytest.mark.parametrize(
    "path",
    [
        "hf://",
        "hf:///",
        "hf://@main",
        "hf://owner/repo@",
        "hf://owner/repo@/x",
        "hf://own er/SECRET",
        "hf://owner/SECRET/../x",
        "hf://a--b/SECRET",
        "hf://owner/repo?token=SECRET",
        f"{WEB}/owner/repo/discussions/SECRET",
        f"{WEB}/owner/repo/blob",
        f"{WEB}/api/models/SECRET",
        f"{WEB}/",
    ],
)
def test_what_is_no_address_is_told_how_to_write_one(path: str) -> None:
    """Without repeating it: there may be a token in it."""
    with pytest.raises(SourceError, match="hf://owner/repo") as error:
        wanted(path, MIRROR)
    assert error.value.reason == "bad_address"
    assert "SECRET" not in error.value.message


@given(st.text(max_size=80), st.sampled_from(["hf://", f"{WEB}/", f"{WEB}/owner/repo/", "hf://owner/repo@"]))
def test_any_text_is_an_address_or_none(text: str, start: str) -> None:
    """Nothing else comes out, and an address leads nowhere up."""
    try:
        found = wanted(start + text, Access())
    except SourceError:
        return
    assert ".." not in found.path.split("/")
    assert ".." not in found.repository.id


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("hf://owner/repo", "huggingface"),
        (f"{WEB}/owner/repo", "huggingface"),
        ("https://hf.co/owner/repo", "huggingface"),
        ("https://mirror.test:8443/artifactory/api/huggingfaceml/hub/owner/repo", "huggingface"),
        ("https://mirror.test:8443/artifactory/api/huggingfaceml/hub", "huggingface"),
        ("https://mirror.test/owner/repo", "https"),
        ("https://mirror.test:8443/other/owner/repo", "https"),
        ("https://mirror.test:8443/artifact", "https"),
        ("https://cdn-lfs.huggingface.co/signed?x=1", "https"),
        ("https://huggingface.co.evil.test/owner/repo", "https"),
        ("https://[", "https"),
    ],
)
def test_the_urls_of_a_hub(url: str, source: str) -> None:
    """Hugging Face's own, and those below HF_ENDPOINT; its store's signed URLs are files like any."""
    assert source_for(url, MIRROR) == source


@pytest.mark.parametrize("said", ["ftp://x", "huggingface.co", "https://user:SECRET@host", "https://[", "http://h:x"])
def test_an_endpoint_that_is_none(said: str) -> None:
    """It is told apart from a hub that does not answer."""
    with pytest.raises(SourceError, match="HF_ENDPOINT") as error:
        endpoint(Access(variables={"HF_ENDPOINT": said}))
    assert "SECRET" not in error.value.message
    assert source_for(f"{WEB}/owner/repo", Access(variables={"HF_ENDPOINT": said})) == "huggingface"


def test_the_token_is_found_where_the_hubs_own_tool_keeps_it(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """At HF_TOKEN_PATH, in HF_HOME, in the cache; and is looked for only when a hub may be asked."""
    for place in ("named", "home/token", ".cache/huggingface/token", "cache/huggingface/token"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(f" of {place}\n")
    home = {"HOME": str(tmp_path)}
    cases = [
        (home, "of .cache/huggingface/token"),
        (home | {"XDG_CACHE_HOME": str(tmp_path / "cache")}, "of cache/huggingface/token"),
        (home | {"HF_HOME": str(tmp_path / "home")}, "of home/token"),
        (home | {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN_PATH": str(tmp_path / "named")}, "of named"),
        (home | {"HF_HOME": str(tmp_path / "nowhere")}, None),
        (home | {"HF_TOKEN_PATH": str(tmp_path)}, None),
    ]
    for variables, expected in cases:
        assert access_of({}, variables, ["hf://owner/repo"]).hub_token == expected
        assert access_of({}, variables, ["s3://bucket"]).hub_token is None
