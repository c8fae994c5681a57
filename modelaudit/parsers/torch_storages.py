"""The storages that a pickle of a PyTorch archive names by persistent ids."""

from modelaudit.blob import Blob
from modelaudit.parsers.pickle.machine import run
from modelaudit.parsers.pickle.state import Shared, State


def storages(blob: Blob) -> dict[str, int]:
    """Key to length in bytes (0 where the type of its elements is not known), for the first pickle of `blob`.

    A loader reads no further. What was named before a break counts: it was loaded. Raises `Missing`.
    """
    state = State(blob, 0, _no_role, _ignore, Shared())
    for _ in run(state):
        pass
    return state.outcome.storages


def _no_role(module: str, name: str) -> str | None:
    return None


def _ignore(opcode: int, offset: int, length: int) -> None:
    return None
