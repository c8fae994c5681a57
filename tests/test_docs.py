"""The documentation is built, complete, and true where it can be run."""

import importlib.util
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml

from modelaudit import catalogue
from modelaudit.blob import BytesBlob
from modelaudit.engine import Engine
from modelaudit.limits import Limits

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def generator() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["formats.md", "rules.md"])
def test_pages_of_the_catalogue_are_fresh(name: str) -> None:
    """They are what the catalogue says today; `python docs/generate.py` writes them."""
    page: str = generator().PAGES[name](catalogue.load())
    assert (DOCS / name).read_text("utf-8") == page


def test_every_rule_has_its_place() -> None:
    """Each once, with its level, and every format is named."""
    known = catalogue.load()
    text = (DOCS / "rules.md").read_text("utf-8")
    assert re.findall(r"^### (\S+)$", text, re.M) == list(dict.fromkeys(re.findall(r"^### (\S+)$", text, re.M)))
    assert set(re.findall(r"^### (\S+)$", text, re.M)) == known.rules.keys()
    assert all(f"| `{name}` |" in (DOCS / "formats.md").read_text("utf-8") for name in known.formats)


def test_the_site_is_built(tmp_path: Path) -> None:
    """Strictly: every page is in the navigation, every link and anchor leads somewhere."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "DISABLE_MKDOCS_2_WARNING": "true", "NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert "Decompression bomb" in (site / "rules" / "index.html").read_text("utf-8")
    fetched = re.compile(
        r'(?:src|href)="https?://(?!github\.com/modelaudit|cwe\.mitre|[^"]*"[^>]*rel="noopener)[^"]*\.(?:js|css|woff)'
    )
    assert [str(page) for page in site.rglob("*.html") if fetched.search(page.read_text("utf-8"))] == []


def test_every_page_is_in_the_navigation() -> None:
    """A page that nobody is led to is not read."""

    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        assert isinstance(parts, list | type({}.values()))
        return [page for part in parts for page in pages(part)]

    named = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(named) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    """The code in `page`, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.M | re.S)


def test_the_invented_format_works(tmp_path: Path) -> None:
    """The catalogue entry, the scanner and the tests of the page that shows how one is added."""
    [entry], [code, tests] = blocks("adding-a-format.md", "toml"), blocks("adding-a-format.md", "python")
    (tmp_path / "acme.toml").write_text(entry)
    scanner = types.ModuleType("acme")
    exec(compile(code, "acme.py", "exec"), scanner.__dict__)
    engine = Engine(catalogue.load(tmp_path), {"acme": scanner})  # type: ignore[dict-item]  a module with a `scan`

    def rules(data: bytes) -> list[str]:
        return [finding.rule for finding in engine.inspect(BytesBlob(data), Limits()).findings]

    shown = {"rules": rules}
    exec(compile(tests, "test_acme.py", "exec"), shown)
    cases = [case for name, case in shown.items() if name.startswith("test_")]
    assert len(cases) == 3
    for case in cases:
        case()  # type: ignore[call-arg]  the page's own, without arguments
