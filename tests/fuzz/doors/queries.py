"""Questions to a finished run: a text, a picture, how many."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from door import Door
from hostile import seeds, texts
from hypothesis import strategies as st
from untrained import EMBEDDING_SIZE

from cxr_mtl.explorer import query
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.tokenizers import load_tokenizer
from cxr_mtl.retrieval.index import Index
from cxr_mtl.runs.run import Run
from cxr_mtl.training.fine_tuned import read_fine_tuned
from doors.models import fine_tuned
from doors.pictures import WRITTEN, damaged

STUDIES = 6
Asked = tuple[str | None, Any, int]
"""A text, or a picture by its kind and seed, and how many studies."""


@cache
def _finished() -> Run:
    """A run with a fine-tuned model and an index; its backbone is loaded once."""
    query.load_backbone, query.load_tokenizer = cache(load_backbone), cache(load_tokenizer)
    run = Run(Path(tempfile.mkdtemp(dir=Path.cwd())))
    (run / "fine_tuned").mkdir()
    for name, content in fine_tuned().items():
        (run / "fine_tuned" / name).write_bytes(content)
    vectors = np.random.default_rng(0).normal(size=(STUDIES, EMBEDDING_SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [(str(n), f"{n}.png", n % 2, "No acute disease.") for n in range(STUDIES)]
    metadata = pd.DataFrame(rows, columns=["study", "image", "label", "text"])
    Index.build(vectors, metadata, read_fine_tuned(run / "fine_tuned").key).save(run / "index")
    return run


def _lay(folder: Path, asked: Asked) -> tuple[Run, dict[str, Any]]:
    text, picture, k = asked
    words: dict[str, Any] = {"text": text, "k": k}
    if picture is not None:
        (folder / "film").write_bytes(damaged(*picture))
        words["image"] = folder / "film"
    return _finished(), words


def _ask(argument: tuple[Run, dict[str, Any]]) -> list[dict[str, Any]]:
    run, words = argument
    return query.query_run(run, **words)


def _check(argument: Any, asked: Asked, hits: list[dict[str, Any]]) -> None:
    """As many studies as were asked for, each once, the nearest first."""
    scores = [hit["score"] for hit in hits]
    assert len({hit["study"] for hit in hits}) == len(hits) == asked[2]
    assert scores == sorted(scores, reverse=True)
    assert all(-1.001 <= score <= 1.001 for score in scores)


pictures = st.tuples(st.sampled_from(list(WRITTEN)), st.none() | seeds)
words = st.lists(
    st.sampled_from(("lungs", "clear", "effusion.", "Cardiomegaly", "zzz", "the " * 200)) | texts,
    max_size=4,
).map(" ".join)
counts = st.sampled_from((1, 3, STUDIES, STUDIES + 1, 0, -1, 10**30))

DOORS = [
    Door(
        "query",
        st.tuples(words, st.none(), counts) | st.tuples(st.none(), pictures, counts),
        _lay,
        _ask,
        ("The lungs are clear.", None, 3),
        300,
        _check,
    )
]
