"""References to code that runs when the model is loaded: beside it, missing, or in somebody else's repository."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.catalogue.callables import Level
from modelaudit.late import late
from modelaudit.model import Evidence, Hit, Severity
from modelaudit.parsers.manifest.tree import Pairs, Path, shown, text_of, truth
from modelaudit.scanners.manifest.callables import judge

_REMOTE = late(r"https?://|[\w.-]+/[\w.-]+\Z")
_KNOWN_LOADERS = late(r"mlflow(?:\.\w+)*|mlflow_\w+(?:\.\w+)*")
_CHAINS = frozenset(("pal_chain", "llm_bash_chain", "bash_chain", "python_repl", "llm_math_chain_numexpr"))
_LANGCHAIN = late(r"langchain(?:[_-]\w+)?|langgraph|langserve")
_RUNNERS = late(
    r"PythonREPL\w*|PythonAstREPL\w*|BashProcess|LLMBashChain|PALChain|ShellTool|TerminalTool|BashTool|RunnableLambda"
)
_CONTEXT = frozenset(("metadata", "additional_kwargs", "response_metadata", "tool_calls", "artifact"))


def auto_map(path: Path, pairs: Pairs, blob: Blob) -> Iterator[Hit]:
    """`auto_map` of Hugging Face configurations: classes by `module.Class`, or by `owner/repo--module.Class`."""
    classes = [text for _, value in pairs for text in _strings(value) if text]
    away = [text for text in classes if "--" in text]
    here = [text for text in classes if "--" not in text and "." in text]
    if away:
        evidence: Evidence = {
            "key": shown(path),
            "reference": away[0],
            "count": len(away),
            "repository": away[0].partition("--")[0],
        }
        yield Hit("manifest-code-elsewhere", None, evidence)
    yield from _beside(path, here, blob)


def _beside(path: Path, references: list[str], blob: Blob) -> Iterator[Hit]:
    if not references:
        return
    names = blob.place.names()
    files = {text: f"{text.rpartition('.')[0].replace('.', '/')}.py" for text in references}
    missing = []
    if names is not None:
        missing = [
            text
            for text, file in files.items()
            if file.partition("/")[0] not in names and f"{file.partition('/')[0]}/" not in names
        ]
    if missing:
        evidence: Evidence = {
            "key": shown(path),
            "reference": missing[0],
            "file": files[missing[0]],
            "count": len(missing),
        }
        yield Hit("manifest-code-missing", None, evidence)
    there = [text for text in references if text not in missing]
    if there:
        listed = sorted({files[text] for text in there})
        evidence = {"key": shown(path), "reference": there[0], "beside": ", ".join(listed), "count": len(there)}
        yield Hit("manifest-code-beside", None, evidence)


def in_pairs(path: Path, pairs: Pairs, blob: Blob) -> Iterator[Hit]:
    """References of one mapping: pipelines, loader modules, adapters, serialised objects."""
    keys = pairs.names()
    if "auto_map" in keys and isinstance(pairs.first("auto_map"), Pairs):
        yield from auto_map((path, "auto_map"), pairs.first("auto_map"), blob)  # type: ignore[arg-type]
    for key in ("custom_pipeline", "custom_generate"):
        text = text_of(pairs.first(key)) if key in keys else None
        if text:
            evidence: Evidence = {
                "key": shown(path, key),
                "reference": text,
                "count": 1,
                "repository": text,
            }
            away = _REMOTE.match(text) is not None
            yield Hit("manifest-code-elsewhere", None, evidence, None if away else Severity.INFO)
    if "_diffusers_version" in keys:
        yield from _pipeline(path, pairs, blob)
    if "loader_module" in keys:
        yield from _loader(path, pairs)
    mapping = pairs.first("auto_mapping") if "auto_mapping" in keys else None
    if isinstance(mapping, Pairs):
        library = text_of(mapping.first("parent_library")) or ""
        name = text_of(mapping.first("base_model_class")) or ""
        if library and judge(f"{library}.{name}").level is Level.DANGEROUS:
            evidence = {"key": shown(path, "auto_mapping"), "callable": f"{library}.{name}", "reader": "PEFT"}
            yield Hit("manifest-target", None, evidence | {"why": judge(f"{library}.{name}").why})
    if {"idx", "type", "path"} <= keys:  # modules.json of Sentence Transformers: each type is imported
        text = text_of(pairs.first("type")) or ""
        if text and judge(text).level is Level.DANGEROUS:
            evidence = {"key": shown(path, "type"), "callable": text, "reader": "Sentence Transformers"}
            yield Hit("manifest-target", None, evidence | {"why": judge(text).why})
        elif text and "." in text and not text.startswith("sentence_transformers."):
            yield from _beside((path, "type"), [text], blob)
    yield from _langchain(path, pairs, keys)


def _pipeline(path: Path, pairs: Pairs, blob: Blob) -> Iterator[Hit]:
    """`model_index.json` of Diffusers: `[module, class]` of the pipeline and of each of its parts."""
    for key, value in pairs:
        if isinstance(value, list) and not isinstance(value, Pairs) and len(value) == 2:
            module, name = text_of(value[0]), text_of(value[1])
            if not module or not name:
                continue
            verdict = judge(f"{module}.{name}")
            if verdict.level is Level.DANGEROUS and not module.startswith(("transformers", "diffusers")):
                evidence: Evidence = {"key": shown(path, key), "callable": f"{module}.{name}", "reader": "Diffusers"}
                yield Hit("manifest-target", None, evidence | {"why": verdict.why})
            elif key == "_class_name":
                yield from _beside((path, key), [f"{module}.{name}"], blob)


def _loader(path: Path, pairs: Pairs) -> Iterator[Hit]:
    """`loader_module` of an MLmodel: imported, and its `_load_pyfunc` called, whenever the model is loaded."""
    module = text_of(pairs.first("loader_module"))
    if not module or _KNOWN_LOADERS.fullmatch(module):
        return
    dangerous = judge(f"{module}._load_pyfunc").level is Level.DANGEROUS or judge(module).level is Level.DANGEROUS
    evidence: Evidence = {
        "key": shown(path, "loader_module"),
        "module": module,
        "code": text_of(pairs.first("code")) or "no folder",
    }
    yield Hit("manifest-loader-module", None, evidence, Severity.CRITICAL if dangerous else None)


def _langchain(path: Path, pairs: Pairs, keys: set[str]) -> Iterator[Hit]:
    if {"lc", "type", "id"} <= keys:
        kind, parts = text_of(pairs.first("type")), _strings(pairs.first("id"))
        written = ".".join(parts)
        evidence: Evidence = {"key": shown(path), "kind": kind or "?", "id": written}
        inside = any(part in _CONTEXT for part in _parts(path))
        if kind == "secret":
            yield Hit("manifest-serialized-object", None, evidence, None if inside else Severity.INFO)
        elif kind == "constructor" and parts:
            foreign = _LANGCHAIN.match(parts[0]) is None
            runs = _RUNNERS.fullmatch(parts[-1]) is not None or (foreign and judge(written).level is Level.DANGEROUS)
            if runs or foreign or inside:
                yield Hit("manifest-serialized-object", None, evidence, Severity.CRITICAL if runs else None)
    kind = text_of(pairs.first("_type")) if "_type" in keys else None
    if kind in _CHAINS:
        evidence = {"key": shown(path), "kind": "chain", "id": kind or ""}
        yield Hit("manifest-serialized-object", None, evidence, Severity.CRITICAL)


def trusts(pairs: Pairs) -> bool:
    """Whether this mapping itself says that code of the model is to be trusted."""
    return any(key in ("trust_remote_code", "trust-remote-code") and truth(value) for key, value in pairs)


def _parts(path: Path) -> Iterator[object]:
    while path:
        yield path[1]
        path = path[0]  # type: ignore[assignment]


def _strings(value: object) -> list[str]:
    text = text_of(value)
    if text is not None:
        return [text]
    if isinstance(value, list) and not isinstance(value, Pairs):
        return [text for item in value if (text := text_of(item)) is not None]
    return []
