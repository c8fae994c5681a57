"""Names of Python callables in configuration: YAML tags, Hydra targets and their kin, judged by the catalogue."""

import re
from collections.abc import Iterator

from modelaudit.catalogue.callables import Level, Verdict
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.late import late
from modelaudit.model import Evidence, Hit, Severity
from modelaudit.parsers import telltale
from modelaudit.parsers.manifest.tree import Pairs, Path, Tagged, plain, shown, text_of, walk, words
from modelaudit.scanners.manifest import interpolation

_PYTHON = "tag:yaml.org,2002:python/"
_TAG = late(r"(?P<how>object/apply|object/new|object|name|module):(?P<path>.*)", re.DOTALL)
_HARMLESS = words(
"none bool str unicode bytes int long float complex list tuple dict set frozenset"
)  # fmt: skip
_HYPER = late(r"!(?P<how>new|name|apply|module):(?P<path>.+)", re.DOTALL)
_FOREIGN = late(
    r"(?:!|tag:yaml\.org,2002:|tag:ruby\.yaml\.org,2002:)(?P<what>ruby/(?:object|struct|exception|sym|hash-with"
    r"|array|class|module|regexp)\S*"
    r"|js/function|java\.[\w.$]+|javax\.[\w.$]+|com\.sun\.[\w.$]+|org\.springframework\.[\w.$]+|perl/code\S*"
    r"|php/object\S*)"
)
_DOTTED = late(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){1,12}", re.ASCII)
# Each of these keys makes its reader import what is written there and call it.
_CALLS = {
    "_target_": "Hydra",
    "class_path": "Lightning",
    "()": "Python's logging",
    "_class_": "a factory",
    "__target__": "a factory",
    "callable_path": "a factory",
    "_function_": "a factory",
    "__object__": "a factory",
    "py/function": "jsonpickle",
    "py/object": "jsonpickle",
    "py/type": "jsonpickle",
}
# Parts of logging.conf whose `class` and `args` fileConfig evaluates as Python.
_EVALUATED = late(r"(?:handler|formatter)_\w*")
_JAVA = late(
    r"java\.lang\.(?:ProcessBuilder|Runtime)|javax\.script\.ScriptEngineManager|java\.net\.URLClassLoader"
    r"|javax\.naming\.InitialContext|com\.sun\.rowset\.JdbcRowSetImpl|groovy\.lang\.GroovyShell"
    r"|org\.springframework\.expression\.spel\.standard\.SpelExpressionParser"
)
_WITH_PARAMS = frozenset(("params", "kwargs", "args", "init_args", "cond_stage_key"))
_MAYBE = words(
    "target cls class callable function func factory handler entry_point entrypoint import_path class_name"
    " constructor hook"
    " callback method loader initializer reducer type fn builder provider executor preprocessor postprocessor"
    " predict_fn"
    " implementation init_fn collate_fn load_fn on_load post_load pre_load on_init"
)
_RESOLVERS = late(
    r"(?:hydra\.(?:utils\.)?(?:_internal\.\w+\.)?(?:get_\w+|instantiate|call|_locate)|functools\.partial"
    r"|builtins\.getattr|operator\.\w+)"
)
# In a configuration these are ordinary, whatever a pickle that named them would be: paths, logs, trackers, data sets.
_ORDINARY = late(
    r"os\.(?:path\.\w+|getcwd|getenv|environ(?:\.get)?|cpu_count|sep)|logging\.\w*|logging\.handlers\.\w+"
    r"|logging\.config\.\w+|uuid\.uuid\d"
    r"|multiprocessing\.cpu_count|socket\.gethostname|torch\.(?:compile|distributed\.[\w.]+"
    r"|hub\.load_state_dict_from_url)|torchvision\.datasets\.\w+"
    r"|\w[\w.]*\.from_pretrained|datasets\.\w+|wandb\.[\w.]+|mlflow\.[\w.]+|ray\.[\w.]+|pandas\.read_\w+"
    r"|sys\.(?:stdout|stderr)"
    r"|(?:pytorch_)?lightning\.[\w.]+|pymdownx\.[\w.]+|materialx?\.[\w.]+|tensorflow\.[\w.]+|jax\.[\w.]+"
    r"|time\.\w+|datetime\.[\w.]+"
    r"|uvicorn\.logging\.\w+|hydra\.(?:core|conf|experimental|_internal)\.[\w.]+|nemo\.[\w.]+|transformers\.[\w.]+|diffusers\.[\w.]+"
    r"|accelerate\.[\w.]+|optuna\.[\w.]+"
    # Operators on tensors: those are the nodes of exported programs (.pt2). Two of them read and write files.
    r"|torch\.ops\.(?:aten|prims|quantized|quantized_decomposed|torchvision|higher_order)\."
    r"(?!(?:save|from_file)\b)\w+(?:\.\w+)?"
)
# Modules that are reached through others that import them; packages have modules named `logging` of their own.
_REACHED = words("os posix nt subprocess sys builtins importlib ctypes socket shutil pty runpy code pickle marshal")
_RUNS = frozenset(
    ("process", "code", "import", "native", "interpreter", "debugger", "attribute", "disguise", "packaging")
)


def judge(path: str) -> Verdict:
    """The verdict on a dotted path, wherever in it the module ends. Raises nothing, whatever the text."""
    known = shipped()
    module, _, name = path.rpartition(".")
    verdict = known.judge(module or "builtins", name)
    if module and not (verdict.level is Level.DANGEROUS and verdict.category in _RUNS):
        top, _, rest = path.partition(".")
        other = known.judge(top, rest)
        if other.level is Level.DANGEROUS and other.module.partition(".")[0] in _REACHED:
            return other
    return verdict


def in_tag(path: Path, node: Tagged) -> Iterator[Hit]:
    """What a YAML tag makes its reader import or call."""
    if node.tag.startswith(_PYTHON):
        rest = node.tag[len(_PYTHON) :]
        if rest not in _HARMLESS:
            yield _python(path, node, rest)
        return
    hyper = _HYPER.fullmatch(node.tag)
    if hyper is not None:
        yield from _named(path, hyper["path"], "HyperPyYAML", node.value, f"!{hyper['how']}:")
        return
    foreign = _FOREIGN.match(node.tag)
    if foreign is not None:
        evidence: Evidence = {
            "tag": foreign[0],
            "key": shown(path),
            "line": node.line,
            "callable": foreign["what"],
            "why": "",
        }
        yield Hit("manifest-foreign-tag", None, evidence)


def _python(path: Path, node: Tagged, rest: str) -> Hit:
    match = _TAG.fullmatch(rest)
    if match is None:
        evidence: Evidence = {
            "tag": f"!!python/{rest}",
            "callable": rest,
            "why": "",
            "key": shown(path),
            "line": node.line,
        }
        return Hit("manifest-unsafe-tag", None, evidence, Severity.WARNING)
    how, target = match["how"], match["path"]
    value = text_of(node.value)
    if not target and value:
        target = value
    verdict = shipped().judge(target, "") if how == "module" else judge(target)
    severity = _severity_of_tag(how, target, verdict, node)
    why = verdict.why or ("The class is one that models are made of." if verdict.level is Level.SAFE else "")
    evidence = {
        "tag": f"!!python/{how}:{target}",
        "callable": target,
        "why": why,
        "key": shown(path),
        "line": node.line,
    }
    return Hit("manifest-unsafe-tag", None, evidence, severity)


def _severity_of_tag(how: str, target: str, verdict: Verdict, node: Tagged) -> Severity:
    if verdict.level is Level.DANGEROUS and not _ordinary(target):
        return Severity.CRITICAL
    if verdict.level is Level.SAFE or _ordinary(target):
        return Severity.INFO
    if verdict.level is Level.CONDITIONAL:
        role = shipped().role(verdict.module, verdict.name)
        worst = max((judge(text).level is Level.DANGEROUS for text in _texts(node.value)), default=False)
        harmless = role in ("decode", "text", "new", "literal")
        return Severity.CRITICAL if worst else Severity.INFO if harmless else Severity.WARNING
    return Severity.WARNING if how in ("object/apply", "object/new", "module") else Severity.INFO


def in_pairs(path: Path, pairs: Pairs, root: object = None) -> Iterator[Hit]:
    """What the keys of a mapping make its reader import and call; `root` is what interpolations refer to."""
    evaluated = bool(path) and isinstance(path[1], str) and _EVALUATED.fullmatch(path[1]) is not None
    for key, value in pairs:
        text = text_of(value)
        if text is None or not 3 <= len(text) <= 512:
            continue
        if key in _CALLS:
            if "${" in text:
                text = interpolation.resolved(root, path, text)
            yield from _named((path, key), text, _CALLS[key], pairs)
        elif key in ("@class", "@type") and _JAVA.fullmatch(text):
            why = "It runs programs, loads classes or evaluates text."
            yield Hit("manifest-target", None, _evidence((path, key), text, "a reader in Java", why))
        elif evaluated and key in ("class", "args", "kwargs") and (code := telltale.code(text)) is not None:
            why = f"fileConfig evaluates it as Python, and it holds {code[0]}."
            yield Hit("manifest-target", None, _evidence((path, key), text, "logging.config.fileConfig", why))
        elif key in _MAYBE and "." in text and _DOTTED.fullmatch(text):
            sure = key == "target" and not _WITH_PARAMS.isdisjoint(pairs.names())
            verdict = judge(text)
            if verdict.level is Level.DANGEROUS and verdict.category in _RUNS and not _ordinary(text):
                evidence = _evidence((path, key), text, "a factory", verdict.why)
                yield Hit("manifest-target", None, evidence, None if sure else Severity.WARNING)


def unknown_targets(root: object) -> list[str]:
    """The Hydra-like targets that are not in the catalogue, each once, in the order of the file."""
    found: dict[str, None] = {}
    for _, node in walk(root):
        if isinstance(node, Pairs):
            for key, value in node:
                text = text_of(value) if key in _CALLS else None
                if text and _DOTTED.fullmatch(text) and not _ordinary(text) and judge(text).level is Level.UNKNOWN:
                    found[text] = None
    return list(found)


def _named(path: Path, target: str, reader: str, around: object, written: str = "") -> Iterator[Hit]:
    target = target.strip()
    if _RESOLVERS.fullmatch(target):
        for text in _texts(around):
            if text != target and _DOTTED.fullmatch(text) and _bad(text):
                why = f"'{target}' looks up what its arguments name, and they name '{text}'. {judge(text).why}"
                yield Hit("manifest-target", None, _evidence(path, text, reader, why, written))
        return
    if _ordinary(target):
        return
    verdict = judge(target)
    if verdict.level is Level.DANGEROUS:
        sure = verdict.category in _RUNS
        yield Hit(
            "manifest-target",
            None,
            _evidence(path, target, reader, verdict.why, written),
            Severity.CRITICAL if sure else Severity.WARNING,
        )


def _bad(text: str) -> bool:
    verdict = judge(text)
    return verdict.level is Level.DANGEROUS and verdict.category in _RUNS and not _ordinary(text)


def _ordinary(target: str) -> bool:
    return _ORDINARY.fullmatch(target) is not None


def _evidence(path: Path, target: str, reader: str, why: str, written: str = "") -> dict[str, str]:
    return {"key": shown(path), "callable": target, "reader": reader, "why": why, "written": written}


def _texts(value: object) -> list[str]:
    """The texts that stand in a value, at any depth, at most some hundred of them."""
    value = plain(value)
    if isinstance(value, str):
        return [value[:512]]
    found: list[str] = []
    for _, node in walk(value):
        if isinstance(node, Pairs):
            found += [text[:512] for _, item in node if (text := text_of(item)) is not None]
        elif isinstance(node, list):
            found += [text[:512] for item in node if (text := text_of(item)) is not None]
        elif isinstance(node, Tagged) and node.tag.startswith(_PYTHON):
            found.append(node.tag.rpartition(":")[2])
        if len(found) > 200:
            break
    return found
