"""Shapes of source that tell when something runs: names of methods, the main part, functions that call others."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from modelaudit.late import late
from modelaudit.parsers.python_source.scopes import Definition

# What the classes that models are made of, and the handlers of servers, are called or derived from.
MODEL_CLASS: Final = late(r"(?:Module|Model|Layer|Handler|Pipeline|Config|Tokenizer|TokenizerFast|Processor)$")

# Methods and functions that programs call which load or serve a model (TorchServe, SageMaker, MLflow, transformers).
LOADING: Final = frozenset(
    ("__init__", "__new__", "__call__", "__post_init__", "__setstate__", "__reduce__", "__reduce_ex__", "__del__",
     "__getattr__", "__init_subclass__", "_load_pretrained_model", "forward", "from_pretrained", "handle", "inference",
     "initialize", "input_fn", "load_context", "load_model", "model_fn", "output_fn", "postprocess", "predict",
     "predict_fn", "preprocess", "transform_fn")
)  # fmt: skip
# Functions that call a function that they are given.
CALLERS: Final = frozenset(
    ("atexit.register", "builtins.map", "builtins.filter", "builtins.list", "threading.Thread", "threading.Timer",
     "multiprocessing.Process", "multiprocessing.context.Process", "_thread.start_new_thread", "builtins.sorted",
     "concurrent.futures.ThreadPoolExecutor().submit", "concurrent.futures.ThreadPoolExecutor().map",
     "functools.reduce",
     "signal.signal", "asyncio.run", "asyncio.get_event_loop().run_until_complete", "sys.setprofile", "sys.settrace",
     "functools.partial().__call__", "builtins.property().fget", "builtins.type",
     "weakref.finalize", "threading.excepthook")
)  # fmt: skip
# Functions after whose call all methods of an object may be called.
INSTALLERS: Final = frozenset(
    ("sys.meta_path.insert", "sys.meta_path.append", "sys.path_hooks.append", "sys.path_hooks.insert")
)
# Methods that do not run by themselves when an object is made and used as operators and statements use it.
_ASKED: Final = frozenset(
    ("__call__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__copy__", "__deepcopy__",
     "__init_subclass__", "__prepare__")
)  # fmt: skip


def handed(node: ast.Call) -> Iterator[ast.expr]:
    """The arguments of a call, and what stands in those that are dictionaries (`type(name, bases, methods)`)."""
    for argument in (*node.args, *(each.value for each in node.keywords)):
        yield argument
        if isinstance(argument, ast.Dict):
            yield from argument.values


def one_variable(node: ast.Subscript | ast.Call) -> bool:
    """`os.environ['X']`, `os.environ.get('X')`: one variable and not all of them."""
    value = node.value if isinstance(node, ast.Subscript) else node.func
    return isinstance(value, ast.Attribute) and (
        value.attr == "environ" or (isinstance(value.value, ast.Attribute) and value.value.attr == "environ")
    )


def is_main(node: ast.AST, child: ast.AST) -> bool:
    """Whether `child` is in the body of `if __name__ == "__main__":`, perhaps with another condition."""
    if not isinstance(node, ast.If) or child not in node.body:
        return False
    both = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
    tests = node.test.values if both and isinstance(node.test, ast.BoolOp) else [node.test]
    return any(_tells_main(test, ast.Eq) for test in tests)


def after_guard(tree: ast.Module) -> set[ast.stmt]:
    """The statements behind `if __name__ != "__main__": raise …`: they run in a program and never on import."""
    for at, statement in enumerate(tree.body):
        if (
            isinstance(statement, ast.If)
            and isinstance(statement.body[0], ast.Raise)
            and _tells_main(statement.test, ast.NotEq)
        ):
            return set(tree.body[at + 1 :])
    return set()


def _tells_main(test: ast.expr, how: type[ast.cmpop]) -> bool:
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], how):
        return False
    sides = (test.left, test.comparators[0])
    named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return named and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def put(node: ast.AST) -> ast.Call | None:
    """`sys.modules[key] = value` and `os.environ[key] = value` as the call that they are."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Subscript):
        return None
    target = node.targets[0]
    if not isinstance(target.value, ast.Attribute) or target.value.attr not in ("modules", "environ"):
        return None
    function = ast.copy_location(ast.Attribute(target.value, "__setitem__", ast.Load()), target)
    return ast.copy_location(ast.Call(function, [target.slice, node.value], []), target)


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the function runs where its name is read as an attribute."""
    names = (each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in node.decorator_list)
    return any(name.endswith("property") for name in names)


def reduces(owner: Definition | None) -> bool:
    """Whether the function says what a pickle of its object calls."""
    return isinstance(owner, ast.FunctionDef) and owner.name in ("__reduce__", "__reduce_ex__")


def made(owner: ast.ClassDef) -> list[Definition]:
    """The methods that run when an object of the class is made, used by operators and statements, or dropped."""
    return [each for each in _functions(owner) if re.fullmatch(r"__\w+__", each.name) and each.name not in _ASKED]


def methods(owner: ast.ClassDef, *names: str) -> list[Definition]:
    """The methods of these names; all where none is given."""
    return [each for each in _functions(owner) if not names or each.name in names]


def _functions(owner: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [each for each in owner.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]


def line_starts(data: bytes) -> dict[int, int]:
    """Where each line (from 1) begins, in bytes."""
    starts, at = {1: 0}, 0
    for number, line in enumerate(data.split(b"\n"), 2):
        at += len(line) + 1
        starts[number] = at
    return starts
