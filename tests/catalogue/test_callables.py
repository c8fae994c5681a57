"""The catalogue of callables: what attacks name is dangerous, what models name is not, and nothing else is safe."""

import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelaudit.catalogue.callables import Callables, Level, load

HERE = Path(__file__).parent
KNOWN = load()


def _rows(file: str) -> list[tuple[str, str]]:
    lines = (line.partition("#")[0].split() for line in (HERE / file).read_text("utf-8").splitlines())
    return [(words[0], words[1]) for words in lines if words]


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


DANGEROUS = _rows("dangerous_globals.txt")
BENIGN = _rows("benign_globals.txt")

# Modules of the standard library of which neither a function nor a class opens, runs, loads or sends anything that
# its caller does not hand to it. Their names stay unknown unless the catalogue has an entry for them.
HARMLESS = """
_blake2 _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _hmac _json _locale _markupbase _md5
_multibytecodec _pylong _sha1 _sha2 _sha256 _sha3 _sha512 _stat _string _strptime _suggestions _tokenize _uuid colorsys
contextvars csv email errno fnmatch formatter getopt hmac keyword locale optparse pprint reprlib secrets shlex stat
stringprep token tomllib traceback xdrlib abc _abc _py_abc _py_warnings _warnings
"""
# The rest of `test` is CPython's own tests; models come from scripts called `test.py`, so only its tools are denied.
PARTLY = {"test"}


def test_the_tables_are_as_long_as_they_must_be() -> None:
    """At least 300 attacks and 2,500 ordinary names stand in the lists, each once."""
    assert len(DANGEROUS) >= 300
    assert len(BENIGN) >= 2500
    assert len(set(DANGEROUS)) == len(DANGEROUS)
    assert len(set(BENIGN)) == len(BENIGN)
    assert not set(DANGEROUS) & set(BENIGN)


@pytest.mark.parametrize(("module", "name"), DANGEROUS)
def test_what_attacks_name_is_dangerous(module: str, name: str) -> None:
    """Every published gadget is dangerous, and a category and a sentence say why."""
    verdict = KNOWN.judge(module, name)
    assert verdict.level is Level.DANGEROUS, verdict
    assert verdict.category
    assert verdict.why.endswith(".")
    assert "{" not in verdict.why


def test_what_ordinary_models_name_is_silent() -> None:
    """Nothing that real models import is dangerous or unknown, and what is conditional has a role to follow."""
    loud = {}
    for module, name in BENIGN:
        verdict = KNOWN.judge(module, name)
        if verdict.level is Level.CONDITIONAL:
            assert KNOWN.role(module, name) is not None
        elif verdict.level is not Level.SAFE:
            loud[module, name] = verdict
    assert loud == {}


# Names of versions and libraries that the list's environments do not hold, from published files.
OLDER = """
sklearn.ensemble.forest RandomForestClassifier      sklearn.tree.tree DecisionTreeClassifier
sklearn.linear_model.base LinearRegression          sklearn.externals.joblib.numpy_pickle NumpyArrayWrapper
sklearn.svm.classes SVC                             sklearn.preprocessing.label LabelEncoder
sklearn.tree._tree Tree                             sklearn.neighbors.dist_metrics newObj
sklearn.metrics.scorer _PredictScorer               sklearn.metrics.classification accuracy_score
pandas.indexes.base _new_Index                      pandas.core.internals BlockManager
pandas.core.internals.managers BlockManager         pandas.core.indexes.numeric Int64Index
numpy.core.multiarray scalar                        numpy._core.multiarray scalar
numpy.core.numeric _frombuffer                      numpy._core.numeric _frombuffer
numpy.random __RandomState_ctor                     numpy.random._pickle __generator_ctor
numpy.ma.core _mareconstruct                        numpy.core.records recarray
scipy.sparse.csr csr_matrix                         scipy.stats.kde gaussian_kde
scipy.interpolate.interpolate interp1d              scipy.spatial.ckdtree cKDTree
torch FloatStorage                                  torch.cuda HalfStorage
torch BFloat16Storage                               torch._utils _rebuild_tensor
torch._utils _rebuild_parameter                     torch.nn.backends.thnn _get_thnn_function_backend
torch._tensor _rebuild_from_type_v2                 torch.storage UntypedStorage
torch.ao.nn.quantized.modules.linear LinearPackedParams
torch.nn.quantized.dynamic.modules.linear Linear    torch.jit._pickle build_intlist
torch.jit._pickle restore_type_tag                  __torch__.torch.nn.modules.linear Linear
__torch__.models.___torch_mangle_12 Net             torch._dynamo.eval_frame OptimizedModule
pytorch_lightning.callbacks.model_checkpoint ModelCheckpoint
pytorch_lightning.utilities.parsing AttributeDict   lightning_fabric.utilities.data AttributeDict
transformers.training_args TrainingArguments        transformers.trainer_utils IntervalStrategy
transformers.trainer_utils SchedulerType            transformers.training_args OptimizerNames
transformers.integrations.deepspeed HfTrainerDeepSpeedConfig
accelerate.utils.dataclasses DistributedType        accelerate.state PartialState
transformers.models.bert.modeling_bert BertModel    transformers.models.t5.configuration_t5 T5Config
transformers.tokenization_utils Trie                fairseq.data.dictionary Dictionary
models.common Conv                                  models.yolo Detect
models.common SPPF                                  ultralytics.nn.modules.conv Conv
ultralytics.nn.modules.block C2f                    ultralytics.yolo.utils IterableSimpleNamespace
ultralytics.utils.loss v8DetectionLoss              ultralytics.nn.modules.head Detect
timm.models.resnet ResNet                           timm.layers.drop DropPath
mmengine.logging.history_buffer HistoryBuffer       mmcv.utils.config ConfigDict
yacs.config CfgNode                                 fvcore.common.config CfgNode
omegaconf.dictconfig DictConfig                     omegaconf.base ContainerMetadata
easydict EasyDict                                   argparse Namespace
xgboost.core Booster                                lightgbm.basic Booster
catboost.core CatBoostClassifier                    gensim.models.word2vec Word2Vec
nltk.tokenize.punkt PunktSentenceTokenizer          spacy.vocab unpickle_vocab
copy_reg _reconstructor                             copyreg __newobj__
__builtin__ set                                     __builtin__ xrange
exceptions ValueError                               UserDict IterableUserDict
cStringIO StringIO                                  _io BytesIO
collections OrderedDict                             datetime datetime
decimal Decimal                                     uuid UUID
pathlib PosixPath                                   pathlib._local PosixPath
re _compile                                         zoneinfo ZoneInfo._unpickle
logging getLogger                                   types SimpleNamespace
typing Any                                          _codecs encode
builtins getattr                                    functools partial
builtins dict.fromkeys                              dill._dill _load_type
dill._dill _create_array                            gymnasium.spaces.box Box
flax.core.frozen_dict FrozenDict                    jax._src.array _reconstruct_array
sklearn.linear_model._sgd_fast __pyx_unpickle_Hinge stable_baselines3.common.torch_layers FlattenExtractor
torch_geometric.data.data Data                      fastai.learner Learner
joblib.numpy_pickle NDArrayWrapper                  joblib.numpy_pickle ZNDArrayWrapper
joblib.numpy_pickle_compat NDArrayWrapper           sklearn.externals.joblib.numpy_pickle NDArrayWrapper
gensim.models.wrappers.fasttext FastText            gensim.models.wrappers.fasttext FastTextKeyedVectors
gensim.models.wrappers.ldamallet LdaMallet          gensim.models.ensemblelda EnsembleLda
gensim.models.ldaseqmodel sslm                      numpy.core._internal _reconstruct
morfessor.baseline BaselineModel                    morfessor.baseline ConstrNode
"""


@pytest.mark.parametrize(("module", "name"), _pairs(OLDER))
def test_what_older_models_name_is_silent_too(module: str, name: str) -> None:
    """Old paths of moved classes and the usual names of popular repositories are safe or followed."""
    verdict = KNOWN.judge(module, name)
    assert verdict.level in (Level.SAFE, Level.CONDITIONAL), verdict


UNKNOWN = [
    ("foo.bar", "Baz"), ("__main__", "Net"), ("sklearn.linear_model._base", "some_function"), ("mypackage", "run"),
    ("torch.nn.functional", "no_such_function"), ("numpy", "no_such_function"), ("sklearn.base", "warnings"),
    ("torch.nn.modules.linear", "F"), ("sklearn.utils", "Parallel2.run_all"), ("textwrap", "TextWrapperish"),
    ("collections", "OrderedDict.no_such_method"), ("pandas.core.frame", "DataFrame.no_such_method"),
    ("scipy.special._ellip_harm_2", "LowLevelCallable"), ("nltk.tag", "StanfordTagger"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), UNKNOWN)
def test_what_nobody_knows_is_unknown(module: str, name: str) -> None:
    """Functions of allowed packages, methods, re-exported modules and strangers are neither safe nor accused."""
    verdict = KNOWN.judge(module, name)
    assert verdict.level is Level.UNKNOWN, verdict
    assert verdict.why.endswith(".")


def test_a_nested_class_of_an_allowed_package_is_safe() -> None:
    """`Outer.Inner` is a class as much as `Inner`; a lower-case part makes it something else."""
    assert KNOWN.judge("sklearn.tree._classes", "Outer.Inner").level is Level.SAFE
    assert KNOWN.judge("sklearn.tree._classes", "outer.Inner").level is Level.UNKNOWN
    assert KNOWN.judge("sklearn.tree._classes", "Outer.inner").level is Level.UNKNOWN


MALFORMED = [
    ("", ""), ("", "system"), ("os", ""), ("os ", "system"), ("os\n", "system"), ("o s", "system"), ("ｏｓ", "system"),
    ("os", "system\x00"), ("os", "ｓｙｓｔｅｍ"), ("os", "sys\u200btem"), ("collections", "OrderedDict "),
    ("torch.nn", "Linear\n"),
    (" collections", "OrderedDict"), (".collections", "OrderedDict"), ("collections.", "OrderedDict"),
    ("collections", ".OrderedDict"), ("collections", "OrderedDict."), ("collections", "a..b"), ("torch.nn", "𝐋inear"),
    ("collections", "<lambda>"), ("a/b", "C"), ("torch.nn", "Größe"), ("x" * 5000, "y"), ("x", "y." * 400 + "z"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), MALFORMED)
def test_a_name_that_is_not_one_is_never_safe(module: str, name: str) -> None:
    """Empty, spaced, folded and foreign names are never safe, however close to a safe one."""
    assert KNOWN.judge(module, name).level in (Level.UNKNOWN, Level.DANGEROUS)


@pytest.mark.parametrize(
    ("module", "name"), [("os ", "system"), ("ｏｓ", "system"), ("os", "sys\u200btem"), ("os\n", "system")]
)
def test_an_imitation_of_a_dangerous_name_is_dangerous(module: str, name: str) -> None:
    """A name that reads as `os.system` but is not spelt so is a disguise."""
    assert KNOWN.judge(module, name).category == "disguise"


@given(st.text(max_size=40), st.text(max_size=40))
@example("numpy", "ndarray.__class__")
@example("collections", "OrderedDict\u200b")
def test_any_two_strings_get_a_verdict(module: str, name: str) -> None:
    """Nothing raises; the same question gets the same answer; only plain ASCII paths can be safe."""
    verdict = KNOWN.judge(module, name)
    assert verdict == KNOWN.judge(module, name)
    KNOWN.role(module, name)
    KNOWN.attribute(name)
    if verdict.level is Level.SAFE:
        assert f"{module}.{name}".isascii()
        assert all(part.isidentifier() for part in f"{module}.{name}".split("."))
    else:
        assert verdict.why


@given(
    st.sampled_from(BENIGN),
    st.sampled_from(["os", "sys", "subprocess", "builtins", "importlib"]),
    st.text("abc", min_size=1),
)
def test_a_safe_name_is_no_way_into_another_module(row: tuple[str, str], other: str, name: str) -> None:
    """Whatever safe name a path begins with, going on into a dangerous module is dangerous."""
    module, start = row
    assert KNOWN.judge(module, f"{start}.{other}.{name}").level is Level.DANGEROUS
    assert KNOWN.judge(module, f"{other}.{name}").level is Level.DANGEROUS
    assert KNOWN.judge(module, other).level is Level.DANGEROUS


@given(
    st.sampled_from(BENIGN), st.sampled_from(["__globals__", "__builtins__", "__code__", "__subclasses__", "gi_frame"])
)
def test_a_safe_name_is_no_way_out_of_an_object(row: tuple[str, str], escape: str) -> None:
    """Whatever safe name a path begins with, an attribute that leads to code or frames is dangerous."""
    module, name = row
    assert KNOWN.judge(module, f"{name}.{escape}").level is Level.DANGEROUS
    assert KNOWN.judge(module, escape).level is Level.DANGEROUS


def test_fullwidth_names_fold_to_what_they_imitate() -> None:
    """The letters of the disguise above are what the test says they are."""
    assert unicodedata.normalize("NFKC", "ｏｓ") == "os"


CANONICAL = [
    ("os", "system", "posix", "system"), ("os", "popen", "os", "popen"), ("__builtin__", "eval", "builtins", "eval"),
    ("copy_reg", "_reconstructor", "copyreg", "_reconstructor"), ("cPickle", "loads", "pickle", "loads"),
    ("_io", "FileIO", "io", "FileIO"), ("numpy.core.multiarray", "scalar", "numpy._core.multiarray", "scalar"),
    ("__builtin__", "xrange", "builtins", "range"), ("urllib2", "urlopen", "urllib.request", "urlopen"),
    ("pathlib", "os.system", "posix", "system"), ("torch", "load", "torch.serialization", "load"),
    ("numba.cloudpickle.cloudpickle", "subimport", "cloudpickle.cloudpickle", "subimport"),
    ("commands", "getoutput", "subprocess", "getoutput"), ("joblib", "load", "joblib.numpy_pickle", "load"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "new_module", "new_name"), CANONICAL)
def test_names_are_canonical(module: str, name: str, new_module: str, new_name: str) -> None:
    """Old, private and re-exported names are told as what they are."""
    verdict = KNOWN.judge(module, name)
    assert (verdict.module, verdict.name) == (new_module, new_name)


ROLES = [
    ("builtins", "getattr", "getattr"), ("__builtin__", "getattr", "getattr"), ("operator", "attrgetter", "getattr"),
    ("_operator", "attrgetter", "getattr"), ("builtins", "object.__getattribute__", "getattr"),
    ("builtins", "__import__", "import"), ("importlib", "import_module", "import"),
    ("cloudpickle.cloudpickle", "subimport", "import"), ("dill._dill", "_import_module", "resolve"),
    ("pkgutil", "resolve_name", "resolve"), ("pydoc", "locate", "resolve"), ("unittest.mock", "_importer", "resolve"),
    ("numpy.core", "_ufunc_reconstruct", "resolve"), ("functools", "partial", "partial"),
    ("_functools", "partial", "partial"),
    ("operator", "methodcaller", "partial"), ("builtins", "map", "apply"), ("itertools", "imap", "apply"),
    ("functools", "reduce", "apply"), ("__builtin__", "reduce", "apply"), ("_codecs", "encode", "decode"),
    ("base64", "b64decode", "decode"), ("zlib", "decompress", "decode"), ("builtins", "bytes.fromhex", "decode"),
    ("builtins", "str.join", "text"), ("builtins", "eval", "exec"), ("builtins", "compile", "exec"),
    ("pickle", "loads", "loads"), ("_pickle", "loads", "loads"), ("torch.storage", "_load_from_bytes", "loads"),
    ("joblib", "load", "loads"), ("torch", "load", "loads"), ("dill._dill", "_load_type", "type"),
    ("models.yolo", "Model", "new"), ("spacy.vocab", "unpickle_vocab", "loads"),
    ("dill._dill", "_eval_repr", "literal"),
    ("collections", "OrderedDict", None), ("foo", "bar", None),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "role"), ROLES)
def test_callables_that_take_callables_have_a_role(module: str, name: str, role: str | None) -> None:
    """What builds a call from its arguments says how, under its old and private names too."""
    assert KNOWN.role(module, name) == role


def test_what_is_conditional_has_a_role_and_what_has_a_role_is_not_safe() -> None:
    """A conditional verdict without a way to follow it would be a hole; a safe one with a role a contradiction."""
    for path, entry in KNOWN._exact.items():
        if entry.level is Level.CONDITIONAL:
            assert path in KNOWN._roles, path
    for path in KNOWN._roles:
        module, _, name = path.rpartition(".")
        assert KNOWN.role(module, name) == KNOWN._roles[path], path
        assert KNOWN.judge(module, name).level is not Level.SAFE, path


ATTRIBUTES = [
    "__globals__",
    "__class__",
    "gi_frame.f_globals",
    "to_pickle",
    "system",
    "os",
    "Popen",
    "write_text",
    "load",
]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_that_leads_to_code_or_files_is_dangerous(name: str) -> None:
    """`getattr(anything, name)` reaches code, files or another module whatever the object is."""
    assert KNOWN.attribute(name).level is Level.DANGEROUS


@pytest.mark.parametrize("name", ["fit", "shape", "RED", "_score", "__add__", "forward", "join", "transform.func"])
def test_an_ordinary_attribute_of_a_safe_object_is_safe(name: str) -> None:
    """Bound methods and members of enumerations are pickled as getattr and must stay silent."""
    assert KNOWN.attribute(name).level is Level.SAFE


def test_every_standard_module_is_judged_consciously() -> None:
    """Each module of the standard library is denied, has entries of its own, or is known to be harmless."""
    judged = set(HARMLESS.split()) | PARTLY
    roots = {path.partition(".")[0] for path in KNOWN._exact}
    missed = []
    for module in sorted(set(sys.stdlib_module_names) | KNOWN._standard):
        canonical, _ = KNOWN._canonical(module, "anything")
        root = canonical.partition(".")[0]
        if not {module, canonical, root} & (judged | roots | KNOWN._trees.keys()):
            missed.append(module)
    assert missed == []
    assert KNOWN._standard >= sys.stdlib_module_names - {"_wmi"}


def test_every_harmless_module_is_a_standard_one() -> None:
    """The list of harmless modules does not outlive its modules, and none of them is denied as a whole."""
    harmless = set(HARMLESS.split())
    assert harmless <= KNOWN._standard
    assert not {module for module in harmless if module in KNOWN._trees}


def test_names_of_the_standard_library_are_not_safe_by_chance() -> None:
    """No name of a standard module is safe that is in truth another module or something dangerous."""
    for module in sorted(sys.stdlib_module_names - {"antigravity", "this", "idlelib", "turtledemo", "test", "nt"}):
        loaded = sys.modules.get(module)
        for name, value in sorted(vars(loaded).items()) if loaded is not None else ():
            if KNOWN.judge(module, name).level is Level.SAFE:
                assert type(value) is not type(sys), (module, name)
                home, real = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
                if isinstance(home, str) and isinstance(real, str) and home != "genericpath":
                    assert KNOWN.judge(home, real).level is not Level.DANGEROUS, (module, name, home, real)


def test_allow_deny_and_packages_do_not_overlap() -> None:
    """No path is judged twice in different ways; the loader says so."""
    assert set(KNOWN._exact) & {f"{tree}.*" for tree in KNOWN._trees} == set()
    for path, entry in KNOWN._exact.items():
        module, _, name = path.rpartition(".")
        verdict = KNOWN.judge(module, name)
        assert verdict.level is entry.level, path


def test_the_loader_refuses_a_path_that_is_both_safe_and_dangerous(tmp_path: Path) -> None:
    """Two files that contradict each other do not load."""
    source = Path(sys.modules["modelaudit.catalogue.callables"].__file__ or "").parent
    for file in source.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    assert isinstance(load(tmp_path), Callables)
    (tmp_path / "more.toml").write_text('[[allow]]\nnames = "builtins.eval"\n', "utf-8")
    with pytest.raises(ValueError, match=r"builtins\.eval"):
        load(tmp_path)


def test_the_loader_needs_the_spelling(tmp_path: Path) -> None:
    """A folder without the table of spellings is not a catalogue."""
    with pytest.raises(ValueError, match="spelling"):
        load(tmp_path)


def test_the_sentence_about_os_is_the_documented_one() -> None:
    """The README shows this very sentence."""
    why = "The 'os' module provides direct access to operating system functions."
    assert KNOWN.judge("posix", "system").why == why


def test_a_memory_format_is_a_constant_wherever_it_is_found() -> None:
    """Pickle names PyTorch's memory formats through any module that imports `torch`; known packages are silent."""
    assert KNOWN.judge("torch._utils", "torch.contiguous_format").level is Level.SAFE
    assert KNOWN.judge("torchvision.models.resnet", "torch.channels_last").level is Level.SAFE
    assert KNOWN.judge("stranger", "torch.channels_last").level is Level.UNKNOWN
    assert KNOWN.judge("antigravity", "torch.channels_last").level is Level.UNKNOWN
    assert KNOWN.judge("torch._utils", "torch.load").level is Level.DANGEROUS


def test_classes_that_execute_their_state_are_known() -> None:
    """A SciPy distribution runs a text of its state when it is unpickled; others do not."""
    assert KNOWN.executed_state("scipy.stats._continuous_distns", "norm_gen") == "_parse_arg_template"
    assert KNOWN.executed_state("scipy.sparse._csr", "csr_matrix") is None
    assert KNOWN.executed_state("nowhere", "norm_gen") is None


HANDED = [
    ("os", Level.DANGEROUS), ("posix", Level.DANGEROUS), ("builtins", Level.DANGEROUS), ("sys", Level.DANGEROUS),
    ("torch.hub", Level.DANGEROUS), ("__builtin__", Level.DANGEROUS), ("nltk.internals", Level.DANGEROUS),
    ("sklearn.svm", Level.SAFE), ("torch.nn.functional", Level.SAFE), ("collections", Level.SAFE), ("math", Level.SAFE),
    ("stranger", Level.UNKNOWN), ("__main__", Level.UNKNOWN), ("o s", Level.UNKNOWN), ("", Level.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("module", "level"), HANDED)
def test_a_module_is_judged_as_a_value_too(module: str, level: Level) -> None:
    """A module that the pickle holds is as good as the best way into it; what is reached is judged on its own."""
    verdict = KNOWN.judge(module, "")
    assert verdict.level is level
    assert verdict.name == ""
    assert (verdict.why == "") is (level is Level.SAFE)


PRIVATE = [
    ("collections", "_sys.modules.get", Level.DANGEROUS), ("random", "_os.system", Level.DANGEROUS),
    ("random", "_os", Level.DANGEROUS), ("sklearn.base", "_subprocess.Popen", Level.DANGEROUS),
    ("sklearn.base", "_System", Level.SAFE), ("collections", "_osx.system2", Level.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "level"), PRIVATE)
def test_a_module_under_a_private_name_is_that_module(module: str, name: str, level: Level) -> None:
    """`import sys as _sys` makes a way into `sys` of any module that does it; a class that begins so is none."""
    assert KNOWN.judge(module, name).level is level


def test_an_attribute_under_a_private_name_is_a_module() -> None:
    """The same way, taken by getattr."""
    assert KNOWN.attribute("_os").level is Level.DANGEROUS
    assert KNOWN.attribute("_osx").level is Level.SAFE
