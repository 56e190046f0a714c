"""Folders that bring numbers about studies: indexes, stores of features."""

import io
import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
import torch
from damage import Files, contents, damaged_binary, damaged_json, laid, maybe_seeds, with_sums
from door import Door
from hostile import PIECES

from cxr_mtl.models.token_store import TokenStore, fill_store
from cxr_mtl.retrieval.index import Index


@cache
def _index() -> Files:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [(str(n), f"{n}.png", n % 2, "No acute disease.") for n in range(6)]
    metadata = pd.DataFrame(rows, columns=["study", "image", "label", "text"])
    folder = Path(tempfile.mkdtemp(dir=Path.cwd())) / "index"
    Index.build(vectors, metadata, "key").save(folder)
    return contents(folder)


def _damaged_metadata(content: bytes, rng: random.Random) -> bytes:
    """A table of other columns, types or rows, or damaged bytes of Parquet."""
    if rng.random() < 0.5:
        return damaged_binary(content, rng)
    table = pd.read_parquet(io.BytesIO(content))
    column = rng.choice(list(table))
    odd = (None, 1.5, b"x", [1], {"a": 1}, "x", 10**20, pd.Timestamp("2020-01-01"))
    file = io.BytesIO()
    try:
        if rng.random() < 0.5:
            table[column] = [rng.choice(odd)] * len(table)
        elif rng.random() < 0.5:
            table = table.rename(columns={column: rng.choice(PIECES)})
        else:
            table = pd.concat([table, table]) if rng.random() < 0.5 else table[:0]
        table.to_parquet(file, index=rng.random() < 0.2)
    except Exception:  # neither pandas nor Parquet has a place for every mixture
        return damaged_binary(content, rng)
    return file.getvalue()


def _damaged_flat(content: bytes, rng: random.Random) -> bytes:
    """Another kind of FAISS index, or damaged bytes of this one."""
    if rng.random() < 0.15:
        kinds = ("HNSW8", "IVF1,Flat", "PCA2,Flat", "LSH", "SQ8", "IDMap,Flat", "L2norm,Flat")
        other = faiss.index_factory(4, rng.choice(kinds))
        return faiss.serialize_index(other).tobytes()
    return damaged_binary(content, rng)


def _lay_index(folder: Path, seed: int | None) -> Path:
    damages = {
        "index.json": damaged_json,
        "metadata.parquet": _damaged_metadata,
        "index.faiss": _damaged_flat,
    }
    laid(folder, _index(), damages, seed)
    return with_sums(folder, seed, "index.json", ["index.faiss", "metadata.parquet"])


def _search(folder: Path) -> Any:
    index = Index.load(folder, "key")
    scores, positions = index.search(np.eye(1, 4, dtype=np.float32), min(3, len(index)))
    return index, scores, index.metadata.iloc[positions[0]].to_dict("records")


def _check_hits(folder: Path, seed: int | None, result: Any) -> None:
    index, scores, hits = result
    assert len(index) == len(index.metadata)
    assert np.isfinite(scores).all()
    assert all(isinstance(hit[key], str) for hit in hits for key in ("study", "image", "text"))


@cache
def _store() -> Files:
    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    _fill(folder)
    return contents(folder)


def _fill(folder: Path) -> TokenStore:
    lengths = torch.tensor([3, 1, 2])

    def compute(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        longest = int(lengths[rows].max())
        values = rows[:, None, None].float()
        return values.expand(-1, longest, 4), values[:, 0].expand(-1, 4)

    return fill_store(
        folder, lengths, 4, torch.float32, compute, about={}, report=lambda line: None
    )


STORE = {
    "about.json": damaged_json,
    "shards.json": damaged_json,
    "tokens.bin": damaged_binary,
    "query.bin": damaged_binary,
}


def _lay_store(folder: Path, seed: int | None) -> Path:
    return laid(folder, _store(), STORE, seed)


def _lay_store_to_fill(folder: Path, seed: int | None) -> Path:
    return laid(folder.parent / "out", _store(), STORE, seed)


def _open_store(folder: Path) -> TokenStore:
    return TokenStore.open(folder)


def _check_filled(folder: Path, seed: int | None, store: TokenStore) -> None:
    """Whatever lay there: what is filled holds what was computed."""
    assert torch.equal(store.query, torch.arange(3.0)[:, None].expand(3, 4))
    batch = store.batch(torch.arange(3))
    assert batch.lengths.tolist() == [3, 1, 2]
    assert torch.equal(batch.tokens[:, 0], store.query)


def _check_opened(folder: Path, seed: int | None, store: TokenStore) -> None:
    store.batch(torch.arange(len(store)))


DOORS = [
    Door("index", maybe_seeds, _lay_index, _search, None, 700, _check_hits),
    Door("store of features", maybe_seeds, _lay_store, _open_store, None, 700, _check_opened),
    Door("store to fill", maybe_seeds, _lay_store_to_fill, _fill, None, 300, _check_filled),
]
