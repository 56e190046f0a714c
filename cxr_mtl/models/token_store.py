"""Token sequences of many studies on disk: computed once, resumable, checked, memory-mapped.

A store is a folder. `about.json` says what it holds, `tokens.bin` and `query.bin` hold it, laid
out as in `token_layout`, and `shards.json` says which shards are finished, with their checksums.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import check_writable, sweep
from cxr_mtl.base.progress import Meter, Progress
from cxr_mtl.models.token_journal import (
    JOURNAL,
    agreed_journal,
    read_journal,
    read_layout,
    stamp,
    write_journal,
)
from cxr_mtl.models.token_layout import QUERY, TOKENS, Digests, Layout, raw

Compute = Callable[[Tensor], tuple[Tensor, Tensor]]
Report = Callable[[str], None]


class Tokens(NamedTuple):
    """A padded batch: what enters the trainable part of a tower.

    Shapes: tokens [batch, longest, width] in the stored precision, lengths [batch] int64,
    query [batch, width] float32. Places past a sequence's length repeat its last token.
    """

    tokens: Tensor
    lengths: Tensor
    query: Tensor

    def to(self, device: str) -> "Tokens":
        """The same batch on `device`."""
        return Tokens(*(tensor.to(device) for tensor in self))


@dataclass(frozen=True, eq=False)
class TokenStore:
    """A finished store, mapped into memory read-only: writing into its tensors ends the process.

    Shapes: tokens [sum of lengths, width], query [studies, width] float32, lengths and starts
    [studies] int64, these always on the CPU. Pickled, it is its folder, so that other processes
    map the same files.
    """

    folder: Path
    tokens: Tensor
    query: Tensor
    lengths: Tensor
    starts: Tensor

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Map the store in `folder`; sizes are checked here, contents by `fill_store`.

        Raises:
            InputError: the store is incomplete, damaged or of another format.
        """
        layout = read_layout(folder)
        shards = read_journal(folder, layout).shards
        if None in shards:
            raise InputError(
                f"{folder} is incomplete ({shards.count(None)} of {len(shards)} shards are "
                "missing): run the step that fills it again"
            )
        return cls(folder, *layout.mapped(folder), layout.lengths, layout.starts)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def key(self) -> str:
        """The name of its folder, by which a cache tells what it holds."""
        return self.folder.name

    def __reduce__(self) -> tuple[Callable[[Path], "TokenStore"], tuple[Path]]:
        return TokenStore.open, (self.folder,)

    def to(self, device: str) -> "TokenStore":
        """The store with all its tokens in the memory of `device`; itself if they are there."""
        if torch.device(device) == self.tokens.device:
            return self
        return replace(self, tokens=self.tokens.to(device), query=self.query.to(device))

    def batch(self, rows: Tensor) -> Tokens:
        """A copy of the sequences of the studies `rows` [batch], on the device of the tokens.

        Rows on the CPU spare the CPU the wait for a GPU.
        """
        rows, device = rows.cpu(), self.tokens.device
        lengths = self.lengths[rows]
        if self._common_length:
            sequences = self.tokens.view(len(self), self._common_length, -1)
            places = self.starts[rows] // self._common_length
            tokens = sequences.index_select(0, places.to(device))
        else:
            last = lengths[:, None] - 1
            places = self.starts[rows][:, None] + torch.arange(int(lengths.max())).minimum(last)
            tokens = self.tokens.index_select(0, places.flatten().to(device))
            tokens = tokens.unflatten(0, places.shape)
        query = self.query.index_select(0, rows.to(device))
        return Tokens(tokens, lengths.to(device), query)

    @cached_property
    def _common_length(self) -> int | None:
        shortest, longest = self.lengths.aminmax()
        return int(longest) if shortest == longest else None


def fill_store(
    folder: Path,
    lengths: Tensor,
    width: int,
    dtype: torch.dtype,
    compute: Compute,
    *,
    batch_size: int = 64,
    about: dict[str, Any],
    progress: Progress | None = None,
    report: Report = print,
) -> TokenStore:
    """Compute what the store in `folder` still lacks, and open it.

    `compute(rows)` gives, without gradients, the padded tokens [batch, longest, width] and the
    queries [batch, width] of study rows of similar lengths, at most `batch_size` and at most a
    shard of them. An interrupted call loses no finished shard. Finished shards are compared with
    their checksums and damaged ones computed again, unless both files have the size and the time
    of change that they had when all was last found right. `progress` is called after each batch,
    `report` with a sentence on whatever had to be mended. `about` is kept for people. Another
    process that fills the same folder is waited for.

    Raises:
        InputError: no study or one without tokens, the folder holds a store of other lengths,
            width, precision or format, or it cannot be written, for lack of space perhaps.
    """
    if not len(lengths) or lengths.min() < 1:
        raise InputError(f"{folder} would hold no study or one without tokens: leave those out")
    layout = Layout(lengths.to("cpu", torch.int64), width, dtype)
    check_writable(folder / JOURNAL)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, report), _full_disk_told(folder):
        journal = agreed_journal(folder, layout, about)
        for name, size in layout.sizes.items():
            _set_size(folder / name, size, report)
        if journal.verified != stamp(folder):
            shards = _sound_shards(folder, layout, journal.shards, report)
            _fill(folder, layout, shards, compute, batch_size, progress)
            write_journal(folder, shards, verified=stamp(folder))
    return TokenStore.open(folder)


def _set_size(path: Path, size: int, report: Report) -> None:
    """Make the file `size` bytes long, sparse where it is new."""
    found = path.stat().st_size if path.exists() else 0
    if found == size:
        return
    if found:
        report(f"{path} has {found:,} bytes instead of {size:,}: it is mended")
    path.touch()
    os.truncate(path, size)


def _sound_shards(
    folder: Path, layout: Layout, shards: list[Digests | None], report: Report
) -> list[Digests | None]:
    """The journalled shards whose bytes have their checksums; None for all others."""
    sound: list[Digests | None] = [None] * len(shards)
    damaged: dict[str, list[int]] = {TOKENS: [], QUERY: []}
    for number, digests in enumerate(shards):
        if digests is None:
            continue
        found = layout.digests(folder, layout.shards[number])
        for name in damaged:
            if found[name] != digests[name]:
                damaged[name].append(number)
        if found == digests:
            sound[number] = digests
    for name, numbers in damaged.items():
        if numbers:
            some = ", ".join(map(str, numbers[:5])) + ", …" * (len(numbers) > 5)
            report(
                f"{folder / name} is damaged in {len(numbers)} of {len(shards)} shards "
                f"(number {some}): they are computed again"
            )
    return sound


def _fill(
    folder: Path,
    layout: Layout,
    shards: list[Digests | None],
    compute: Compute,
    batch_size: int,
    progress: Progress | None,
) -> None:
    """Compute the shards that are None, and put their checksums in their places."""
    unfinished = [number for number, digests in enumerate(shards) if digests is None]
    if not unfinished:
        return
    rows = torch.cat([layout.shards[number] for number in unfinished])
    _check_space(folder, layout.bytes_of(rows))
    write_journal(folder, shards)  # from here on damaged shards count as unfinished
    studies = len(layout.lengths)
    meter = Meter(studies, studies - len(rows), int(layout.lengths[rows].sum()), progress)
    for number in unfinished:
        rows = layout.shards[number]
        shards[number] = _write_shard(folder, layout, rows, compute, batch_size, meter)
        write_journal(folder, shards)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} needs {needed / 1e9:.3g} GB more and the disk has {free / 1e9:.3g} GB free: "
            "free some space or choose another folder"
        )


def _write_shard(
    folder: Path, layout: Layout, rows: Tensor, compute: Compute, batch_size: int, meter: Meter
) -> Digests:
    tokens_hash, query_hash = hashlib.sha256(), hashlib.sha256()
    with open(folder / TOKENS, "r+b") as tokens_file, open(folder / QUERY, "r+b") as query_file:
        tokens_file.seek(int(layout.starts[rows[0]]) * layout.width * layout.dtype.itemsize)
        for batch in rows.split(batch_size):
            tokens, query = _compute_raw(layout, batch, compute)
            tokens_file.write(tokens)
            tokens_hash.update(tokens)
            for row, vector in zip(batch.tolist(), query, strict=True):
                query_file.seek(row * vector.nbytes)
                query_file.write(vector)
            query_hash.update(query)
            meter.step(len(batch), int(layout.lengths[batch].sum()))
        for file in (tokens_file, query_file):
            file.flush()
            os.fsync(file.fileno())
    return {TOKENS: tokens_hash.hexdigest(), QUERY: query_hash.hexdigest()}


def _compute_raw(layout: Layout, rows: Tensor, compute: Compute) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a batch: its tokens without padding, and its queries."""
    lengths = layout.lengths[rows]
    longest = int(lengths.max())
    with torch.inference_mode():
        padded, query = compute(rows)
        expected = ((len(rows), longest, layout.width), (len(rows), layout.width))
        if (padded.shape, query.shape) != expected:
            raise ValueError(f"computed {padded.shape}, {query.shape} instead of {expected}")
        is_token = torch.arange(longest) < lengths[:, None]
        tokens = padded[is_token.to(padded.device)].to(layout.dtype)
        return raw(tokens.cpu()), raw(query.float().cpu())


@contextmanager
def _alone(folder: Path, report: Report) -> Iterator[None]:
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(f"{folder} is being filled by another process: waiting for it")
        lock.acquire()
    try:
        sweep(folder)
        yield
    finally:
        lock.release()


@contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"the disk is full while writing {folder}: free some space and run again, finished "
            "shards are kept"
        ) from error
