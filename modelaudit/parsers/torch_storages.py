"""The storages that a pickle of a PyTorch archive names by persistent ids, and the tensors over them."""

from modelaudit.blob import Blob
from modelaudit.parsers.pickle.machine import run
from modelaudit.parsers.pickle.state import Shared, State
from modelaudit.parsers.pickle.values import Tensor


def storages(blob: Blob) -> tuple[dict[str, int], list[Tensor]]:
    """Key to length in bytes (0 where the type of its elements is not known), for the first pickle of `blob`.

    Also the tensors of floating numbers, of two dimensions or more. A loader reads no further. What was named before
    a break counts: it was loaded. Raises `Missing`.
    """
    state = State(blob, 0, _no_role, _ignore, Shared())
    for _ in run(state):
        pass
    return state.outcome.storages, state.outcome.tensors


def _no_role(module: str, name: str) -> str | None:
    return None


def _ignore(opcode: int, offset: int, length: int) -> None:
    return None
