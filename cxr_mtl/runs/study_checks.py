"""What chapters and their parameters ask of files, studies and model, checked before they run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json_as, read_table
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import ASKS, Chapter

STUDIES, MODELS = "studies.parquet", "models.json"
LABELS = (0, 1)
_COUNTED = {"batch_size": "train", "example_k": "test"}
"""Parameters that cannot exceed the studies of a part."""


def check_files(stages: Iterable[tuple[Chapter, Mapping[str, Any]]]) -> None:
    """Refuse a parameter that names a file or a folder that is not there.

    Raises:
        InputError: naming the parameter and the path.
    """
    for chapter, values in stages:
        for name, parameter in chapter.parameters.items():
            value = values[name]
            if parameter.is_path and value is not None and not Path(value).exists():
                raise InputError(
                    f"{name} = {value!r}: there is no such file or folder: correct the path"
                )


def check_studies(stages: Iterable[tuple[Chapter, Mapping[str, Any]]], run: Run) -> None:
    """Refuse stages that a run's studies are too few for; do nothing where it has none yet.

    Raises:
        InputError: a part has fewer studies than a chapter asks for in its header or by its
            parameters, or no labels; or CheXbert's labels are not those of the test studies.
    """
    if not (run / STUDIES).exists():
        return
    studies = read_table(run / STUDIES)
    counts = _counts(studies)
    for chapter, values in stages:
        for what, least in chapter.asks.items():
            if counts[what] < least:
                raise InputError(
                    f"{chapter.name} needs at least {least} {ASKS[what]}, and {run.path} has "
                    f"{counts[what]}: {_remedy(what, studies)}"
                )
        for name, value in values.items():
            _check_value(chapter.name, name, value, studies, counts)
        if values.get("exact_pairs", 0) > values.get("batch_size", 0):
            raise InputError(
                f"{chapter.name}: exact_pairs = {values['exact_pairs']} exceeds batch_size = "
                f"{values['batch_size']}, from which they are taken: give at most that many"
            )


def check_blocks(stages: Iterable[tuple[Chapter, Mapping[str, Any]]], run: Run) -> None:
    """Refuse stages that would train more blocks than the model has; do nothing without a model.

    Raises:
        InputError: `unfrozen_blocks` or one of `depths` exceeds the blocks of a tower.
    """
    if not (run / MODELS).exists():
        return
    blocks = read_json_as(dict[str, Any], run / MODELS).get("blocks")
    for chapter, values in stages:
        for name in ("unfrozen_blocks", "depths"):
            value = values.get(name, 0)
            most = max(value, default=0) if isinstance(value, list) else value
            if blocks is not None and most > blocks:
                raise InputError(
                    f"{chapter.name}: {name} = {value!r} asks for {most} unfrozen blocks, and the "
                    f"smaller tower of the model has {blocks}: give at most {blocks}"
                )


CONTENT_CHECKS = {STUDIES: check_studies, MODELS: check_blocks}
"""What is asked of a file that a chapter leaves, by its name."""


def _counts(studies: pd.DataFrame) -> dict[str, int]:
    counts = {}
    for part in ("train", "validation", "test"):
        labels = studies["label"][studies["split"] == part]
        counts[part] = len(labels)
        counts[f"{part}_per_label"] = min(int((labels == label).sum()) for label in LABELS)
    return counts


def _remedy(what: str, studies: pd.DataFrame) -> str:
    if not studies["label"].isin(LABELS).any():
        return "the pairs have no labels, so add a column label with 0 (normal) or 1 (abnormal)"
    raised = {"train": "lower test_per_class", "validation": "raise validation_fraction"}
    change = raised.get(what.removesuffix("_per_label"), "raise test_per_class")
    return f"use more studies, {change}, or run only the chapters before it"


def _check_value(
    chapter: str, name: str, value: Any, studies: pd.DataFrame, counts: Mapping[str, int]
) -> None:
    most = counts.get(_COUNTED.get(name, ""))
    if most is not None and value > most:
        raise InputError(
            f"{chapter}: {name} = {value} exceeds the {most} {ASKS[_COUNTED[name]]}: "
            f"give at most {most}"
        )
    if name == "tsne_perplexity":
        from cxr_mtl.retrieval.tsne_maps import check_perplexity  # scikit-learn takes a second

        check_perplexity(value, counts["test"])
    if name == "chexbert_csv" and value is not None:
        from cxr_mtl.retrieval.chexbert import read_chexbert

        read_chexbert(Path(value), studies["study"][studies["split"] == "test"])
