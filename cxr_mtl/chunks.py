"""Work on many rows in chunks that fit into memory."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cxr_mtl.errors import InputError


def in_chunks(
    count: int,
    compute: Callable[[NDArray[np.intp]], dict[str, NDArray]],
    bytes_per_row: int,
    budget: int = 256_000_000,
) -> dict[str, NDArray]:
    """Join what `compute` returns for the rows 0 … count − 1, given a chunk of them at a time.

    `compute` takes row numbers [r] and returns arrays whose first axis is these rows. Chunks come
    in ascending order and hold as many rows of `bytes_per_row` as fit into `budget` bytes, but at
    least one.

    Raises:
        InputError: `count` or `bytes_per_row` is below 1.
    """
    if count < 1 or bytes_per_row < 1:
        raise InputError(
            f"{count} rows of {bytes_per_row} bytes cannot be computed in chunks: give at least "
            "one row of at least one byte"
        )
    step = max(1, budget // bytes_per_row)
    parts = [compute(np.arange(start, min(start + step, count))) for start in range(0, count, step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
