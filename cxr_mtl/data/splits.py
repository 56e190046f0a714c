"""Train, validation and test: drawn by study, stratified by label, kept in a CSV."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cxr_mtl.base.choices import Duplicates
from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.base.files import write_beside
from cxr_mtl.data.exact_choice import exact_choice, largest_sum_below

PARTS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
EQUAL, PATIENTS = "equal reports or pictures", "studies of one patient"
CLASS_NAMES = {-1: "unlabelled", 0: "normal", 1: "abnormal"}


def normalise_text(text: str) -> str:
    """Lower case, white space collapsed: two reports are duplicates if these forms are equal."""
    return " ".join(text.lower().split())


def duplicate_ceiling(texts: Sequence[str]) -> float:
    """Best accuracy@1 that an exact match can expect: distinct normalised texts / texts.

    A query whose text stands n times finds its own study with probability 1/n, so the n queries
    of one text contribute 1 together.

    Raises:
        InputError: `texts` is empty.
    """
    if len(texts) == 0:
        raise InputError("there is no text to look for duplicates in: give at least one study")
    return len({normalise_text(text) for text in texts}) / len(texts)


def split_studies(
    studies: pd.DataFrame,
    *,
    test_per_class: int = 200,
    validation_fraction: float = 0.1,
    seed: int,
    duplicates: Duplicates = "ignore",
) -> pd.DataFrame:
    """Draw the test studies per class, then split the rest of each class.

    The draw depends on the study ids and the seed, not on the order of the rows. Studies without
    labels (all -1) count as one class.

    Args:
        studies: a table with `study`, `label` and, for "together", `text` and, if it has it,
            `pixels_sha256`. Studies of one `patient` are never parted, if it has that column.
        test_per_class: test studies of each class.
        validation_fraction: share of the remaining studies of each class, between 0 and 1.
        duplicates: "together" keeps studies of equal normalised text, or of equal pictures, in
            one part, and all that are linked by either. Where studies are kept together validation
            holds as many as whole groups allow, never more than its share.

    Returns:
        `studies` with the column `split`: "train", "validation" or "test".

    Raises:
        InputError: a value is out of range, a part would have an empty class, or the test set
            cannot have exactly this size (the sentence says which size is possible).
    """
    check_choice("duplicates", duplicates, Duplicates)
    if test_per_class < 1 or not 0 < validation_fraction < 1:
        raise InputError(
            f"test_per_class={test_per_class}, validation_fraction={validation_fraction} is no "
            "split: take at least 1 test study per class and a fraction between 0 and 1"
        )
    classes = _classes(studies["label"])
    group = _group_numbers(studies, duplicates, seed)
    labels = studies["label"].to_numpy()
    sizes = np.stack([np.bincount(group[labels == c], minlength=len(group)) for c in classes], 1)

    kept = [EQUAL] * (duplicates == "together") + [PATIENTS] * ("patient" in studies)
    test = _test_groups(sizes, classes, test_per_class, kept)
    rest = np.where(test[:, None], 0, sizes)
    share = np.rint(validation_fraction * rest.sum(axis=0)).astype(int)
    validation = _choice_within(rest, share)
    part = np.select([test[group], validation[group]], ["test", "validation"], "train")
    drawn = studies.assign(split=part)
    check_classes(drawn, "the split", "use more studies or other part sizes")
    return drawn


def stands_elsewhere(content: pd.Series, split: pd.Series) -> pd.Series:
    """Whether the content of each study, its text or its picture, also stands in another part."""
    return split.groupby(content).transform("nunique") > 1


def duplicates_across_parts(studies: pd.DataFrame) -> float:
    """Share of the test studies whose normalised text also stands in another part."""
    elsewhere = stands_elsewhere(studies["text"].map(normalise_text), studies["split"])
    return float(elsewhere[studies["split"] == "test"].mean())


def write_split(path: Path | str, studies: pd.DataFrame) -> None:
    """Write `study,split` as CSV, whole or not at all."""
    with write_beside(path) as beside:
        studies[["study", "split"]].to_csv(beside, index=False)


def _classes(labels: pd.Series) -> list[int]:
    return [-1] if len(labels) and (labels == -1).all() else [0, 1]


def check_classes(studies: pd.DataFrame, source: str, remedy: str) -> None:
    """Refuse a split of which a part has no study of a class.

    Raises:
        InputError: naming the part and the class.
    """
    for part in ("train", "validation", "test"):
        labels = studies["label"][studies["split"] == part]
        for c in _classes(studies["label"]):
            if not (labels == c).any():
                raise InputError(
                    f"{source} leaves the {part} part without any {CLASS_NAMES[c]} study: {remedy}"
                )


def _group_numbers(studies: pd.DataFrame, duplicates: Duplicates, seed: int) -> np.ndarray:
    """Number of each study's group, the unit that stays in one part; numbered in drawn order."""
    together = duplicates == "together"
    keys = studies["text"].map(normalise_text) if together else studies["study"]
    shared = [keys]
    if together and "pixels_sha256" in studies:
        shared.append(studies["pixels_sha256"])
    if "patient" in studies:
        shared.append(studies["patient"])
    # A group bears the first of its keys, so that without pictures or patients in common the draw
    # is that of the keys alone.
    first = keys.groupby(_components(shared)).transform("min")
    names, group = np.unique(first.to_numpy(dtype=str), return_inverse=True)
    return np.random.default_rng(seed).permutation(len(names))[group]


def _components(shared: Sequence[pd.Series]) -> np.ndarray:
    """Number of each study's component, joined by equal values of any of the columns."""
    studies = len(shared[0])
    edges, nodes = [], studies
    for values in shared:
        codes, found = pd.factorize(values)
        edges.append(nodes + codes)
        nodes += len(found)
    ends = np.tile(np.arange(studies), len(shared)), np.concatenate(edges)
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][:studies]


def _test_groups(
    sizes: np.ndarray, classes: list[int], per_class: int, kept: Sequence[str]
) -> np.ndarray:
    for c, available in zip(classes, sizes.sum(axis=0), strict=True):
        if available < per_class:
            raise InputError(
                f"only {available} studies are {CLASS_NAMES[c]}, too few for {per_class} test "
                "studies per class: set test_per_class lower"
            )
    chosen = exact_choice(sizes, per_class)
    if chosen is None:
        possible = largest_sum_below(sizes, per_class)
        split = "give a split of your own (split_csv)"
        otherwise = split if PATIENTS in kept else "set duplicates to 'ignore'"
        raise InputError(
            f"no {per_class} test studies per class can be drawn without parting "
            f"{' or '.join(kept)}: "
            + (f"set test_per_class to {possible}" if possible else otherwise)
        )
    return chosen


def _choice_within(sizes: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Choose groups in order as long as no class exceeds its share; bool [groups]."""
    chosen = np.zeros(len(sizes), dtype=bool)
    left = share.copy()
    for i, size in enumerate(sizes):
        if size.any() and (size <= left).all():
            chosen[i] = True
            left -= size
    return chosen
