"""Where the benchmarks keep what they make: outside the repository, and all of it can be deleted."""

import os
import tempfile
from pathlib import Path

WORK = Path(os.environ.get("MODELAUDIT_BENCH_DIR") or Path(tempfile.gettempdir()) / "modelaudit-bench").absolute()
VENVS = Path(os.environ.get("MODELAUDIT_BENCH_VENVS") or Path(tempfile.gettempdir()) / "bench-venvs").absolute()
CORPUS = WORK / "corpus"
RESULTS = WORK / "results"
