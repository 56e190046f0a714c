"""Where everything lies in a token store: files, shards and places, all told by the lengths.

`tokens.bin` holds the sequences end to end, without padding, from the shortest to the longest, so
that little of a batch is padding; `query.bin` holds one vector per study, in the order of the
studies. A shard is `SHARD` neighbours of `tokens.bin`.
"""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cxr_mtl.base.errors import InputError

FORMAT = 2
SHARD = 512  # studies
TOKENS, QUERY = "tokens.bin", "query.bin"

Digests = dict[str, str]


@dataclass(frozen=True, eq=False)
class Layout:
    """The places that follow from the lengths [studies] int64, the width and the precision."""

    lengths: Tensor
    width: int
    dtype: torch.dtype

    @cached_property
    def shards(self) -> tuple[Tensor, ...]:
        """Study rows of each shard, in the order of `tokens.bin`."""
        return self.lengths.argsort(stable=True).split(SHARD)

    @cached_property
    def starts(self) -> Tensor:
        """Row of `tokens.bin` at which each study begins [studies]."""
        order = torch.cat(self.shards)
        in_order = self.lengths[order]
        return torch.empty_like(order).scatter_(0, order, in_order.cumsum(0) - in_order)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        shapes = self._shapes.items()
        return {name: prod(shape) * dtype.itemsize for name, (shape, dtype) in shapes}

    @property
    def _shapes(self) -> dict[str, tuple[tuple[int, int], torch.dtype]]:
        return {
            TOKENS: ((int(self.lengths.sum()), self.width), self.dtype),
            QUERY: ((len(self.lengths), self.width), torch.float32),
        }

    def bytes_of(self, rows: Tensor) -> int:
        """Bytes that the studies `rows` take in both files."""
        return sum(Layout(self.lengths[rows], self.width, self.dtype).sizes.values())

    def settings(self) -> dict[str, Any]:
        """What two stores must share to be of one kind, for `about.json`."""
        dtype = str(self.dtype).removeprefix("torch.")
        kind = {"format": FORMAT, "shard": SHARD, "width": self.width, "dtype": dtype}
        return kind | {"lengths": self.lengths.tolist()}

    def mapped(self, folder: Path) -> Iterator[Tensor]:
        """Tokens [sum of lengths, width] and queries [studies, width], mapped read-only.

        Raises:
            InputError: a file is missing or has another size.
        """
        for name, (shape, dtype) in self._shapes.items():
            path, size = folder / name, self.sizes[name]
            if not path.is_file() or path.stat().st_size != size:
                raise InputError(
                    f"{path} is damaged (it is missing or has not {size:,} bytes): run the step "
                    "that fills it again"
                )
            # A private writable mapping would be refused for a file larger than the memory.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*not writable")
                content = torch.from_numpy(np.memmap(path, np.uint8, "r"))
            yield content.view(dtype).view(shape)

    def digests(self, folder: Path, rows: Tensor) -> Digests:
        """SHA-256 of what both files hold of the shard `rows`.

        The files are mapped anew, so that no more than one shard of them stays resident.
        """
        tokens, query = self.mapped(folder)
        start = int(self.starts[rows[0]])
        sequences = tokens[start : start + int(self.lengths[rows].sum())]
        shard = {TOKENS: sequences, QUERY: query[rows]}
        return {name: hashlib.sha256(raw(part)).hexdigest() for name, part in shard.items()}


def raw(tensor: Tensor) -> np.ndarray:
    """The bytes of a tensor on the CPU: [..., width] -> uint8 [..., width * bytes of each]."""
    return tensor.contiguous().view(torch.uint8).numpy()
