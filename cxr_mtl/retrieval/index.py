"""Algorithm 2: a FAISS inner-product index of studies, searched, saved and loaded again."""

import struct
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

if sys.platform == "darwin":
    import torch  # noqa: F401  Its OpenMP must come first there (facebookresearch/faiss#4273).

import faiss

from cxr_mtl import __version__
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import inside, read_json_as, read_table, sha256_of_file, write_beside

if sys.platform == "darwin":
    faiss.omp_set_num_threads(1)  # Two OpenMP runtimes crash it (facebookresearch/faiss#3401).

Vectors = NDArray[np.float32]

FORMAT = 1
CONTENT = ("index.faiss", "metadata.parquet")
_AGAIN = "run chapter 05_retrieval again"
_FLAT_IP = b"IxFI"
_HEADER = "<4siqqq?iQ"
"""Of an IndexFlatIP as FAISS writes it: kind, dimension, vectors, two constants, whether it is
trained, metric (inner product 0), and the number of float32 that follow."""
_KINDS = {"study": (str, int), "image": (str, int), "label": int, "text": (str, int)}
METADATA_COLUMNS = ("study", "image", "label", "text")
GPU_K_LIMIT = 2048


class _Format(BaseModel):
    format: int


class Card(_Format):
    """What `index.json` says of an index."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    dimension: int = Field(ge=1)
    count: int = Field(ge=1)
    model_key: str
    versions: dict[str, str]
    sha256: dict[str, str]


def normalised(vectors: ArrayLike) -> Vectors:
    """Rows of [n, d] divided by their L2 norms, float32.

    Raises:
        InputError: not two-dimensional, no rows, or a row that is NaN, infinite or zero.
    """
    vectors = _rows(vectors)
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not norms.all():
        raise InputError(
            f"vector {int(np.argmin(norms))} of {len(vectors)} is all zeros and has no direction: "
            "embed that study again"
        )
    return np.ascontiguousarray(vectors / norms, dtype=np.float32)


def fused_vectors(image_embeddings: ArrayLike, text_embeddings: ArrayLike) -> Vectors:
    """The vector of each study, f = normalise((v_norm + t_norm) / 2), float32 (Algorithm 2).

    Takes image and text embeddings, both [n, d] of any length, and returns [n, d].

    Raises:
        InputError: two shapes, a row that is NaN, infinite or zero, or an image and a report that
            point in opposite directions.
    """
    images, texts = normalised(image_embeddings), normalised(text_embeddings)
    if images.shape != texts.shape:
        raise InputError(
            f"image embeddings {list(images.shape)} and text embeddings {list(texts.shape)} "
            "differ in shape: give one of each per study"
        )
    return normalised((images + texts) / 2)


class Index:
    """Exact inner-product search over one L2-normalised vector per study.

    Searches run on the GPU when FAISS sees one (`device` says which), on the CPU otherwise; scores
    agree to float32 rounding.

    Attributes:
        metadata: a row per vector, in the vectors' order: study, image, label, text.
        model_key: names the model that made the vectors; queries must come from the same one.
    """

    def __init__(self, flat: faiss.IndexFlatIP, metadata: pd.DataFrame, model_key: str) -> None:
        self.metadata = metadata
        self.model_key = model_key
        self._flat = flat
        self._on_gpu = None
        if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0:
            self._resources = faiss.StandardGpuResources()
            self._on_gpu = faiss.index_cpu_to_gpu(self._resources, 0, flat)

    @classmethod
    def build(cls, embeddings: ArrayLike, metadata: pd.DataFrame, model_key: str) -> "Index":
        """Index embeddings [n, d], L2-normalised, row i described by row i of `metadata`.

        Raises:
            InputError: vectors that are not finite or not of length 1, none at all, a metadata
                table of another length or without its columns.
        """
        vectors = _unit_rows(embeddings)
        _check_metadata(metadata, len(vectors), "the metadata table")
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        return cls(flat, metadata[list(METADATA_COLUMNS)].reset_index(drop=True), model_key)

    def __len__(self) -> int:
        return self._flat.ntotal

    @property
    def device(self) -> str:
        """Where searches run: gpu or cpu."""
        return "cpu" if self._on_gpu is None else "gpu"

    def check_k(self, k: int) -> None:
        """Refuse a number of neighbours that the index cannot give.

        Raises:
            InputError: k is below 1 or above the number of studies.
        """
        if not 1 <= k <= len(self):
            raise InputError(
                f"k is {k} and the index holds {len(self)} studies: give a k from 1 to {len(self)}"
            )

    def search(self, queries: ArrayLike, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """The k studies most similar to each query, best first.

        Takes L2-normalised queries [q, d]; returns scores [q, k], which are cosines, and positions
        [q, k], which are rows of `metadata`. Equal scores come in order of position. A k above
        2048, which FAISS cannot do on a GPU, is searched on the CPU.

        Raises:
            InputError: no query, another dimension than the index, queries that are not finite or
                not of length 1, or k below 1 or above the number of studies.
        """
        queries = _unit_rows(queries)
        if queries.shape[1] != self._flat.d:
            raise InputError(
                f"the queries have {queries.shape[1]} dimensions and the index has "
                f"{self._flat.d}: embed them with the model that made the index, {self.model_key}"
            )
        self.check_k(k)
        use_gpu = self._on_gpu is not None and k <= GPU_K_LIMIT
        scores, positions = (self._on_gpu if use_gpu else self._flat).search(queries, k)
        order = np.lexsort((positions, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(positions, order, 1)

    def save(self, folder: Path | str) -> None:
        """Write `index.faiss`, `metadata.parquet` and `index.json` into one folder, or nothing.

        An index that stood there before is replaced.

        Raises:
            InputError: `folder` exists and is something else than an index.
        """
        folder = Path(folder)
        if folder.exists() and not _may_be_replaced(folder):
            raise InputError(f"{folder} exists and is not an index: give the name of a new folder")
        with write_beside(folder) as beside:
            beside.mkdir()
            (beside / "index.faiss").write_bytes(faiss.serialize_index(self._flat).tobytes())
            self.metadata.to_parquet(beside / "metadata.parquet", index=False)
            card = Card(
                format=FORMAT,
                dimension=self._flat.d,
                count=len(self),
                model_key=self.model_key,
                versions={"faiss": faiss.__version__, "cxr_mtl": __version__},
                sha256={name: sha256_of_file(beside / name) for name in CONTENT},
            )
            (beside / "index.json").write_text(card.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path | str, model_key: str) -> "Index":
        """Read an index that `save` wrote, for queries of the model `model_key`.

        The SHA-256 of each file finds damage. A stranger's folder brings its own sums: so no file
        may lead out of it, and FAISS parses its file only where header and length agree.

        Raises:
            InputError: a file is missing, damaged, of another format or outside of the folder, its
                counts disagree, or another model made it.
        """
        folder = Path(folder)
        card = read_card(folder)
        if card.model_key != model_key:
            raise InputError(
                f"{folder} was built by the model {card.model_key}, not by {model_key}: {_AGAIN}"
            )
        for name in CONTENT:
            _check_sum(inside(folder, name), card.sha256.get(name))
        flat = _read_flat(folder / "index.faiss", card.count, card.dimension)
        metadata = read_table(folder / "metadata.parquet", _AGAIN)
        _check_metadata(metadata, card.count, f"{folder}/metadata.parquet")
        _check_kinds(metadata, folder / "metadata.parquet")
        return cls(flat, metadata, model_key)


def _rows(vectors: ArrayLike) -> Vectors:
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise InputError(
            f"vectors of shape {list(vectors.shape)} cannot be searched: give at least one row, as "
            "[rows, dimensions]"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InputError(
            f"vector {int(np.argmin(finite))} of {len(vectors)} holds NaN or infinity: embed that "
            "study again"
        )
    return vectors


def _unit_rows(vectors: ArrayLike) -> Vectors:
    vectors = _rows(vectors)
    norms = np.linalg.norm(vectors, axis=1)
    furthest = int(np.argmax(np.abs(norms - 1)))
    if abs(norms[furthest] - 1) > 1e-3:
        raise InputError(
            f"vector {furthest} of {len(vectors)} has length {norms[furthest]:.4g}, not 1: pass "
            "the vectors through retrieval.normalised first"
        )
    return np.ascontiguousarray(vectors)


def _check_metadata(metadata: pd.DataFrame, count: int, name: str) -> None:
    missing = [column for column in METADATA_COLUMNS if column not in metadata]
    if missing:
        raise InputError(f"{name} lacks the columns {', '.join(missing)}: add them")
    if len(metadata) != count:
        raise InputError(
            f"{name} has {len(metadata)} rows for {count} vectors: give one row per vector"
        )


def _check_kinds(metadata: pd.DataFrame, path: Path) -> None:
    for column, kinds in _KINDS.items():
        for row, value in enumerate(metadata[column].tolist()):
            if not isinstance(value, kinds):
                raise InputError(f"{path} is damaged at {column}, row {row} ({value!r}): {_AGAIN}")


def _may_be_replaced(folder: Path) -> bool:
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= {*CONTENT, "index.json"}


def read_card(folder: Path | str) -> Card:
    """What the index in `folder` says of itself.

    Raises:
        InputError: it is missing, damaged or of another format.
    """
    path = inside(Path(folder), "index.json")
    if not Path(folder).is_dir():
        raise InputError(f"{path} is missing: {_AGAIN}")
    found = read_json_as(_Format, path, _AGAIN).format
    if found != FORMAT:
        raise InputError(f"{path} has the format {found}, this version reads {FORMAT}: {_AGAIN}")
    return read_json_as(Card, path, _AGAIN)


def _check_sum(path: Path, expected: str | None) -> None:
    if not path.is_file():
        raise InputError(f"{path} is missing: {_AGAIN}")
    if sha256_of_file(path) != expected:
        raise InputError(f"{path} is damaged, its SHA-256 is not the one in index.json: {_AGAIN}")


def _read_flat(path: Path, count: int, dimension: int) -> faiss.IndexFlatIP:
    """Read an index of so many vectors, whose header and length are looked at before FAISS does."""
    size, header = path.stat().st_size, struct.calcsize(_HEADER)
    with open(path, "rb") as file:
        head = file.read(header)
    if head[:2] != b"Ix" or len(head) < header:
        raise InputError(f"{path} is not a FAISS index: {_AGAIN}")
    if head[:4] != _FLAT_IP:
        raise InputError(
            f"{path} holds a FAISS index of the kind {head[:4]!r}, not IndexFlatIP: {_AGAIN}"
        )
    _, found_dimension, found_count, *_, values = struct.unpack(_HEADER, head)
    if (found_dimension, found_count) != (dimension, count):
        raise InputError(
            f"{path} holds {found_count} vectors of {found_dimension} dimensions and index.json "
            f"says {count} of {dimension}: {_AGAIN}"
        )
    if values != count * dimension or size != header + 4 * values:
        raise InputError(
            f"{path} has {size:,} bytes, which are not {count:,} vectors of {dimension:,} "
            f"dimensions: {_AGAIN}"
        )
    try:
        flat = faiss.read_index(str(path))
    except RuntimeError as error:
        raise InputError(f"{path} is not a FAISS index: {_AGAIN}") from error
    _unit_rows(flat.reconstruct_n(0, count))
    return flat
