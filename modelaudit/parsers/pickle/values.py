"""What the machine knows about a value on its stack.

    None        None, and data without interest
    int >= 0    a number, string or bytes literal, true or false, as the offset of its opcode; read only when it matters
    int < 0     a list, dict or set made by the stream, as `~offset` of its opcode; its items are in a side table
    tuple       a tuple of values
    the classes below

Literals as offsets keep a vocabulary of millions of words at eight bytes a word.
"""

from typing import TypeAlias

import msgspec


class Global(msgspec.Struct, eq=False):
    """Something that the stream names, or reaches by a call that was followed: `module`, dotted `name`.

    One object for each in a stream. An empty `name` is the module itself. `via` is the expression that
    reached it when no opcode names it; then `owner` is what it is an `attribute` of. `offset` and `opcode`
    are those of the first naming, `named` and `called` count. `role`: what calling it does to names (`calls`).
    `executes`: the key of its objects' state whose text it executes (`executed`), or empty. `harmless` counts the
    calls of a `literal` role that evaluate a literal; `told`: a call of such a role that does more was told of.
    `repeats`: a further call gives what the first gave, and nothing is to be told of it. `wraps`: it is joblib's class
    behind whose objects' states raw bytes stand (`arrays`).
    """

    module: str
    name: str
    offset: int
    opcode: str
    role: str | None = None
    via: str = ""
    executes: str = ""
    owner: "Global | None" = None
    attribute: str = ""
    named: int = 0
    called: int = 0
    harmless: int = 0
    repeats: bool = False
    told: bool = False
    wraps: bool = False
    instance: "Instance | None" = None
    slot: int = -1

    @property
    def path(self) -> str:
        """`module.name` as people write it."""
        return f"{self.module}.{self.name}" if self.name else self.module


class Instance(msgspec.Struct, eq=False):
    """What calling `of` gave. One object for each `of`: which of a million instances it is does not matter."""

    of: Global
    slot: int = -1


class Call(msgspec.Struct, eq=False):
    """A call whose arguments matter: `func(*args)`. `state` is what BUILD gave to the result."""

    func: "Value"
    args: tuple["Value", ...] | None
    offset: int
    state: "Value" = None
    computed: "list[Plain] | None" = None  # its value as a list of one, or of none when it has none
    slot: int = -1


class Attribute(msgspec.Struct, eq=False):
    """`getattr(owner, name)` of something that is not a module, class or function."""

    owner: "Value"
    name: str
    slot: int = -1


class Persistent(msgspec.Struct, eq=False):
    """What the loader's `persistent_load` makes of a persistent id; `key` and `kind` those of a torch storage."""

    slot: int = -1
    key: str = ""
    kind: str = ""


class Unknown(msgspec.Struct, eq=False):
    """A value that could be anything, a function included: nothing that depends on it is called harmless."""

    slot: int = -1


Special: TypeAlias = Global | Instance | Call | Attribute | Persistent | Unknown
Value: TypeAlias = int | tuple["Value", ...] | Special | None
Plain: TypeAlias = str | bytes | int | float | list["Plain"] | tuple["Plain", ...]


# --- events: what a pass over a stream tells, in the order of the stream ---------------------------------


class Named(msgspec.Struct, frozen=True):
    """First naming of `what` in the stream, at `offset`."""

    what: Global
    offset: int
    opcode: str


class Called(msgspec.Struct, frozen=True):
    """First call of `what`. `shown` is the call as an expression; `code` the source text that it would run.

    `decoded` is set when that text comes out of decoding functions.
    """

    what: Global
    offset: int
    opcode: str
    shown: str
    code: str = ""
    decoded: bool = False


class Computed(msgspec.Struct, frozen=True):
    """A name or callable that is only known when the stream runs. `called`: and the stream calls it."""

    offset: int
    opcode: str
    shown: str
    called: bool = False


class Wrote(msgspec.Struct, frozen=True):
    """BUILD, SETITEM(S) or APPEND(S) on `target`, which is no container or instance of the stream's own.

    `kind` says what it is: `global`, `tensor`, `data`, `unknown`; or `setstate` when a `__setstate__` is planted.
    """

    offset: int
    opcode: str
    target: str
    kind: str


class Executed(msgspec.Struct, frozen=True):
    """The class `target` executes `text`, which the state of its object holds; None when it cannot be known."""

    offset: int
    opcode: str
    target: str
    text: str | None


class Extension(msgspec.Struct, frozen=True):
    """EXT1, EXT2 or EXT4 with a code that the stream itself did not register."""

    offset: int
    opcode: str
    code: int


class Nested(msgspec.Struct, frozen=True):
    """A payload inside a literal or computed value.

    Raw bytes stand in the blob at `offset` for `length` bytes and `data` is None; decoded ones are `data`.
    `encoding` is the way in, outermost first (`base64+zlib`; empty for raw bytes). `loader` is what is called with it.
    """

    offset: int
    length: int
    data: bytes | None
    encoding: str
    what: str
    loader: Global | None = None


class Broken(msgspec.Struct, frozen=True):
    """The stream breaks the rules at `offset`; a loader stops there."""

    offset: int
    why: str


class WrongFrame(msgspec.Struct, frozen=True):
    """A FRAME at `offset` that does not end where an opcode ends."""

    offset: int


class Raw(msgspec.Struct, frozen=True):
    """joblib reads the bytes from `offset` to `end` itself; `pickle`: they are a whole pickle, `end` unknown."""

    offset: int
    end: int
    pickle: bool


class Disguised(msgspec.Struct, frozen=True):
    """joblib's array at `offset` is not as joblib writes it, and so its raw bytes may be others than they seem."""

    offset: int
    why: str


class Unread(msgspec.Struct, frozen=True):
    """Something at `offset` that was not looked into, and why."""

    offset: int
    why: str


Event: TypeAlias = (
    Named | Called | Computed | Wrote | Executed | Extension | Nested | Broken | WrongFrame | Raw | Disguised | Unread
)


class Tensor(msgspec.Struct, frozen=True):
    """A torch tensor over the storage `key`, of elements of `kind` (`Float`); `start` and `strides` in elements."""

    name: str
    key: str
    kind: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Outcome(msgspec.Struct):
    """Where a pass over one pickle ended: after STOP when `stopped`, else where it broke.

    `storages` maps the keys of the torch storages that persistent ids named to their length in bytes; `tensors` are
    those over them. `keys` are the strings of the list that the pickle makes, when that was asked for. `raw_behind` is
    the class of PyTorch's whose bytes stand behind the pickle in a tar archive (`torch_tar`). `forgotten`: it takes
    something from the memo that it did not put there.
    """

    end: int = 0
    stopped: bool = False
    storages: dict[str, int] = msgspec.field(default_factory=dict)
    tensors: list[Tensor] = msgspec.field(default_factory=list)
    keys: tuple[str, ...] = ()
    raw_behind: str = ""
    forgotten: bool = False
