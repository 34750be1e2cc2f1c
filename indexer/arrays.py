"""Arrays in files, memory-mapped and checked."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

# NumPy reads headers by `ast`, which up to Python 3.11.7 fails in several threads at a time.
_parsing = Lock()


def mapped(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """Map a file of NumPy's, to be read.

    Raises:
        OSError: it is gone or may not be read.
        ValueError: it does not hold what it should.
    """
    try:
        with _parsing:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:  # not damage, but a file that is gone or may not be read
        raise
    except Exception as error:  # numpy's header parser raises nearly anything on damaged data
        raise ValueError(f"{path.name} cannot be read") from error
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{path.name} does not hold what the manifest announces")
    return np.asarray(array)
