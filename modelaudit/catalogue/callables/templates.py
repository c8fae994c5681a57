"""Source text that honest pickles carry, told from source text that an attacker put in its place.

SciPy's distributions keep the source of their argument parsers in their state and execute it when they are
unpickled (`rv_generic.__setstate__` runs `_parse_arg_template`). The text follows a fixed pattern.
"""

import re

from modelaudit.late import late

_PARAMETER = r"[A-Za-z_]\w*(?:=(?:\d+(?:\.\d+)?|None|'mv'))?"
_DEF = late(rf"def _parse_args(?:_rvs|_stats)?\(self(?:, *{_PARAMETER})*,? *\):", re.ASCII)
_RETURN = late(r" {4}return (?:self\._argcheck_rvs\()?[\w ,()=.]*", re.ASCII)
_CALL = late(r"\w\(", re.ASCII)


def is_argument_parser(text: str) -> bool:
    """Whether `text` is what SciPy generates: three functions that hand their arguments back, and nothing else."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line in lines:
        if _DEF.fullmatch(line):
            continue
        body = line.replace("return (", "return ", 1).replace("self._argcheck_rvs(", "", 1)
        if _RETURN.fullmatch(line) is None or _CALL.search(body) or "__" in body:
            return False
    return len(lines) <= 12
