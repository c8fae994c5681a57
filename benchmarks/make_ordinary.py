"""Writes ordinary models with the frameworks that are installed, one folder for each maker. Nothing here is hostile.

    /path/to/python benchmarks/make_ordinary.py FOLDER [MAKER …]

gather_ordinary.py --make runs it in environments of its own. A maker whose framework is missing, or that fails, is
told of in one line and the others go on.
"""

import os
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from making import MAKERS


def main() -> int:
    """Run the makers that were asked for, or all."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    os.environ.update(
        TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1"
    )
    warnings.simplefilter("ignore")
    folder, asked = Path(sys.argv[1]), set(sys.argv[2:])
    for maker in MAKERS:
        name = maker.__name__
        if asked and name not in asked:
            continue
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        said = "made"
        try:
            maker(place)
        except ImportError as error:
            said = f"left out: {error}"
        except Exception as error:  # noqa: BLE001 (frameworks raise anything; what is written so far counts)
            said = f"stopped: {type(error).__name__}: {str(error)[:200]}"
        count = sum(path.is_file() for path in place.rglob("*"))
        if not count:
            place.rmdir()
        print(f"{name:24s} {count:5} files  {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
