"""What a sample is, and the two payloads that every hostile one is built with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.samples import assembler as asm

UNPROVEN = " Not proven by loading: "


@dataclass(frozen=True, slots=True)
class Payload:
    """A call that a hostile sample makes: `module.name(argument)`.

    Every template is built twice: with `HARM`, whose bytes go to the scanner and are never loaded, and with
    `CANARY`, whose bytes are loaded to show that the technique really makes the call.
    """

    module: str
    name: str
    argument: str

    def function(self, protocol: int = 4) -> bytes:
        """Opcodes that put the callable on the stack, as a pickler of `protocol` would."""
        maker = asm.stack_global if protocol >= 4 else asm.global_
        return maker(self.module, self.name)

    def text(self, protocol: int = 4) -> bytes:
        """Opcodes that put the argument on the stack."""
        return asm.text(self.argument, protocol)

    def call(self, protocol: int = 4) -> bytes:
        """Opcodes that make the call and leave its result."""
        return asm.call(self.function(protocol), self.text(protocol))

    def raw(self) -> asm.Raw:
        """The callable, as a value for `assembler.literal`."""
        return asm.Raw(self.function())

    def held(self, carrier: str = "pathlib") -> asm.Raw:
        """The payload's module itself, as an attribute of a module that merely imports it."""
        return asm.Raw(asm.stack_global(self.carrier(carrier), self.module))

    def partial(self) -> asm.Raw:
        """functools.partial(callable, argument): a callable without arguments."""
        return asm.calls("functools", "partial", self.raw(), self.argument)

    def lazy(self) -> asm.Raw:
        """map(callable, [argument]): makes the call when somebody drains it."""
        return asm.calls("builtins", "map", self.raw(), [self.argument])

    def pickle(self, protocol: int = 4) -> bytes:
        """The plainest hostile pickle."""
        return asm.pickle(self.call(protocol), protocol)

    def carrier(self, module: str) -> str:
        """A module that holds `module` as an attribute of the same name: `module` itself for real attacks."""
        return module if self.module == "os" else self.module

    @property
    def source(self) -> str:
        """The call as a Python expression that needs no names."""
        return f"__import__({self.module!r}).{self.name}({self.argument!r})"

    def fill(self, value: object) -> object:
        """`value` with `{source}` and `{command}` filled in, in whatever it nests."""
        if isinstance(value, str):
            return value.replace("{source}", self.source).replace("{command}", self.argument)
        if isinstance(value, tuple | list):
            return type(value)(self.fill(item) for item in value)
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        return value


HARM = Payload("os", "system", "echo modelaudit-sample")
CANARY = Payload("canary", "mark", "modelaudit-sample")


@dataclass(frozen=True, slots=True)
class Sample:
    """One file to scan.

    `expect` is the least that the worst finding must reach (`critical`, `warning`, `info`); `none` means that
    nothing at or above warning may be found. `ends` lists other honest ends, any of which will do instead
    (`partial`, `failed`, `skipped`). `status` is the status, or `status:reason`, that must come out, where it
    is known. `loader` names how `tests.samples.prove` loads the twin; empty where that cannot be done, and
    then `why` says so.
    """

    id: str
    bypass: str
    filename: str
    build: Callable[[Payload], bytes]
    why: str
    expect: str = "critical"
    loader: str = "pickle"
    ends: frozenset[str] = frozenset()
    status: str = ""

    @property
    def data(self) -> bytes:
        """The file as the scanner gets it."""
        return self.build(HARM)

    @property
    def twin(self) -> bytes:
        """The same file with the harmless payload, for loading."""
        return self.build(CANARY)


Template = Callable[[Payload], bytes]
Row = tuple[str, Template, str]


def rows(bypass: str, table: Sequence[Row], filename: str = "model.pkl", expect: str = "critical") -> Iterator[Sample]:
    """A sample for each (name, template, why), all of one class and loaded by `pickle.loads`."""
    for name, build, why in table:
        yield Sample(f"{bypass}-{name}", bypass, filename, build, why, expect)


def slug(text: str) -> str:
    """`text` as part of an id: letters, digits, underscores and single hyphens."""
    return "-".join("".join(c if (c.isalnum() and c.isascii()) or c == "_" else " " for c in text).split()).lower()
