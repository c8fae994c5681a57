"""One table row: a callable that some block list did not know, and the arguments an attacker gives it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from tests.samples import assembler as asm
from tests.samples.sample import UNPROVEN, Payload, Sample, slug


@dataclass(frozen=True, slots=True)
class Gadget:
    """`module.name(*args)`; `{source}` and `{command}` in the arguments are filled from the payload.

    `where` says where the callable exists: empty for every Python from 3.11 on, else a word for people
    (`windows`, `python 2`, `a library`). `runs` is set where the arguments hold Python source, so that the
    twin can be loaded.
    """

    bypass: str
    module: str
    name: str
    args: tuple[object, ...]
    where: str = ""
    expect: str = "critical"
    runs: bool = False

    @property
    def dotted(self) -> bool:
        return "." in self.name

    def build(self, protocol: int, payload: Payload) -> bytes:
        """The pickle that makes the call."""
        maker = asm.stack_global if protocol >= 4 else asm.global_
        arguments = (asm.literal(payload.fill(argument), protocol) for argument in self.args)
        return asm.pickle(asm.call(maker(self.module, self.name), *arguments), protocol)


def samples(table: Sequence[Gadget]) -> Iterator[Sample]:
    """A sample a row; the protocols take turns, so that every spelling of a call is met often."""
    for index, gadget in enumerate(table):
        protocol = 4 + index % 2 if gadget.dotted else index % 6
        why = f"{gadget.module}.{gadget.name} is called through REDUCE in protocol {protocol}."
        if not gadget.runs:
            place = f"it exists only in {gadget.where}" if gadget.where else "its arguments cannot carry the canary"
            why += f"{UNPROVEN}{place}."
        yield Sample(
            id=f"{gadget.bypass}-{slug(gadget.module)}-{slug(gadget.name)}-proto{protocol}",
            bypass=gadget.bypass,
            filename="model.pkl",
            build=partial(gadget.build, protocol),
            why=why,
            expect=gadget.expect,
            loader="pickle" if gadget.runs else "" if gadget.where else "named",
        )
