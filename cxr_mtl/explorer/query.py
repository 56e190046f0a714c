"""Asking a run's fine-tuned model for the studies nearest to an image or a report."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import user_path
from cxr_mtl.data.images import read_image
from cxr_mtl.models.backbones import LOCAL, load_backbone
from cxr_mtl.models.features import load_images
from cxr_mtl.models.reading import check_query
from cxr_mtl.models.tokenizers import load_tokenizer
from cxr_mtl.retrieval.index import Index, normalised, read_card
from cxr_mtl.runs.freshness import mending_command
from cxr_mtl.runs.run import Run
from cxr_mtl.training.fine_tuned import load_fine_tuned, read_fine_tuned

INDEX = "index"
FINE_TUNED = "fine_tuned"


def query_run(
    run: Run,
    *,
    image: Path | None = None,
    text: str | None = None,
    k: int = 5,
    notice: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Search the run's fused index of test studies (Algorithm 2) by one image or one text.

    Returns the k nearest as dicts with study, score, label, image and text, best first. `notice`
    is given a sentence on each thing in a text that the model does not read.

    Raises:
        InputError: not exactly one of image and text, an unreadable image, a text that is empty,
            too long or without a word of the model's vocabulary, a k beyond the index, or a run
            that has no trained model or index yet, or whose backbone's folder is gone.
    """
    if (image is None) == (text is None):
        raise InputError("give either an image or a text to search for, not both or neither")
    if image is not None and not Path(image).name:
        raise InputError(f"the image to search for is {str(image)!r}: name a file")
    if text is not None:
        _check_text(text)
    about = read_fine_tuned(run / FINE_TUNED)
    _check_source(run, about.source)
    index = Index.load(run / INDEX, about.key)
    index.check_k(k)
    if image is not None:
        read_image(image)
    else:
        for sentence in check_query(load_tokenizer(about.source), text):
            notice(sentence)
    # What can be refused is refused by now: the model takes seconds to load.
    backbone, _ = load_fine_tuned(run / FINE_TUNED, load_backbone(about.source))
    with torch.inference_mode():
        if image is not None:
            query = backbone.model.encode_image(load_images(backbone, [str(image)]))
        else:
            query = backbone.model.encode_text(backbone.tokenize([text]))
    scores, positions = index.search(normalised(query), k)
    found = index.metadata.iloc[positions[0]].to_dict("records")
    return [{"score": float(score), **row} for score, row in zip(scores[0], found, strict=True)]


def _check_source(run: Run, source: str) -> None:
    """Of a model that lay in the cache, the remedy is the run; of the user's own, its folder."""
    folder = user_path(source.removeprefix(LOCAL))
    if source.startswith(LOCAL) and not folder.is_dir():
        raise InputError(
            f"{folder} is gone, the model that {run.path} was fine-tuned from: put it back, or "
            f"make it again with `{mending_command(run.path.name, Path())}`"
        )


def _check_text(text: str) -> None:
    if not text.strip():
        raise InputError("the text to search for is empty: describe a finding")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "the text to search for holds bytes that are no UTF-8, after "
            f"{text[: error.start][-30:]!r}: give it as UTF-8"
        ) from None


def hits_table(hits: Iterable[Mapping[str, Any]]) -> Table:
    """What `query_run` found, for a terminal."""
    table = Table("study", "score", "label", "report")
    for hit in hits:
        label = {0: "normal", 1: "abnormal"}.get(hit["label"], "unknown")
        table.add_row(hit["study"], f"{hit['score']:.4f}", label, hit["text"])
    return table


def describe_index(run: Run) -> str:
    """One sentence on what `query_run` searches: run, vectors, number of studies and model.

    Raises:
        InputError: the run has no trained model or index yet.
    """
    count = read_card(run / INDEX).count
    source = read_fine_tuned(run / FINE_TUNED).source
    return (
        f"Searched: the fused vectors, half image and half report, of the {count} test studies of "
        f"{run.path}, by the model fine-tuned there from {source}."
    )
