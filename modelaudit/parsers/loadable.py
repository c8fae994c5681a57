"""Whether bytes are worth it to be taken for the contents of a stream that is not certain to be one."""

from modelaudit.blob import Blob
from modelaudit.parsers import telltale
from modelaudit.parsers.pickle import is_pickle

_BEGUN_BYTES = 1024


def acts(blob: Blob) -> bool:
    """Whether `blob` is what does something when it is loaded. Raises `Missing`.

    Arrays of small integers are LZMA streams too, a few of each thousand, but not of anything that acts.
    """
    return is_pickle(blob) or telltale.is_payload(bytes(blob.view(0, _BEGUN_BYTES)))
