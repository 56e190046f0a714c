"""Train, validation and test: drawn by study, stratified by label, kept in a CSV."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr_mtl.base.choices import Duplicates
from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.base.files import read_csv, write_beside

PARTS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
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
        studies: a table with `study`, `label` and, for "together", `text`.
        test_per_class: test studies of each class.
        validation_fraction: share of the remaining studies of each class, between 0 and 1.
        duplicates: "together" keeps studies of equal normalised text in one part; validation then
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

    test = _test_groups(sizes, classes, test_per_class)
    rest = np.where(test[:, None], 0, sizes)
    share = np.rint(validation_fraction * rest.sum(axis=0)).astype(int)
    validation = _choice_within(rest, share)
    part = np.select([test[group], validation[group]], ["test", "validation"], "train")
    return _checked(studies.assign(split=part), "the split")


def duplicates_across_parts(studies: pd.DataFrame) -> float:
    """Share of the test studies whose normalised text also stands in another part."""
    texts = studies["text"].map(normalise_text)
    is_test = studies["split"] == "test"
    return float(texts[is_test].isin(set(texts[~is_test])).mean())


def write_split(path: Path | str, studies: pd.DataFrame) -> None:
    """Write `study,split` as CSV, whole or not at all."""
    with write_beside(path) as beside:
        studies[["study", "split"]].to_csv(beside, index=False)


def read_split(path: Path | str, studies: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read a `study,split` CSV, ours or a published one, and give its parts to `studies`.

    An id is a study's own, or Open-I's longer form `CXR<study>_…` as in the R2Gen split; `val` and
    `valid` mean validation.

    Returns:
        The studies the split names, with the column `split`; and how many stand `only_in_split`
        and `only_in_studies`.

    Raises:
        InputError: the file is no such CSV, a part's name is unknown, a study is in two parts, or
            a part has an empty class.
    """
    rows = read_csv(path, ["study", "split"])
    known = set(studies["study"])
    part: dict[str, str] = {}
    for line, name, split in rows[["study", "split"]].itertuples(name=None):
        if split not in PARTS:
            raise InputError(
                f"{path}, line {line}, names the part '{split}': write one of {', '.join(PARTS)}"
            )
        study = _own_id(name, known)
        if part.setdefault(study, PARTS[split]) != PARTS[split]:
            raise InputError(f"{path}, line {line}, puts study {study} in two parts: keep only one")
    matched = studies["study"].isin(part.keys())
    counts = {
        "only_in_split": len(part.keys() - known),
        "only_in_studies": int((~matched).sum()),
    }
    kept = studies[matched].reset_index(drop=True)
    return _checked(kept.assign(split=kept["study"].map(part)), str(path)), counts


def _own_id(name: str, known: set[str]) -> str:
    openi = re.match(r"CXR(\d+)_", name)
    return openi[1] if openi and name not in known else name


def _classes(labels: pd.Series) -> list[int]:
    return [-1] if len(labels) and (labels == -1).all() else [0, 1]


def _checked(studies: pd.DataFrame, source: str) -> pd.DataFrame:
    for part in ("train", "validation", "test"):
        labels = studies["label"][studies["split"] == part]
        for c in _classes(studies["label"]):
            if not (labels == c).any():
                raise InputError(
                    f"{source} leaves the {part} part without any {CLASS_NAMES[c]} study: "
                    "use more studies or other part sizes"
                )
    return studies


def _group_numbers(studies: pd.DataFrame, duplicates: Duplicates, seed: int) -> np.ndarray:
    """Number of each study's group, the unit that stays in one part; numbered in drawn order."""
    together = duplicates == "together"
    keys = studies["text"].map(normalise_text) if together else studies["study"]
    names, group = np.unique(keys.to_numpy(dtype=str), return_inverse=True)
    return np.random.default_rng(seed).permutation(len(names))[group]


def _test_groups(sizes: np.ndarray, classes: list[int], per_class: int) -> np.ndarray:
    for c, available in zip(classes, sizes.sum(axis=0), strict=True):
        if available < per_class:
            raise InputError(
                f"only {available} studies are {CLASS_NAMES[c]}, too few for {per_class} test "
                "studies per class: set test_per_class lower"
            )
    target = np.full(len(classes), per_class)
    chosen = _choice_within(sizes, target)
    # Taking what fits can end one short of a target that other groups would meet.
    return (
        chosen if (sizes[chosen].sum(axis=0) == target).all() else _exact_choice(sizes, per_class)
    )


def _choice_within(sizes: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Choose groups in order as long as no class exceeds its share; bool [groups]."""
    chosen = np.zeros(len(sizes), dtype=bool)
    left = share.copy()
    for i, size in enumerate(sizes):
        if size.any() and (size <= left).all():
            chosen[i] = True
            left -= size
    return chosen


def _exact_choice(sizes: np.ndarray, per_class: int) -> np.ndarray:
    """Choose groups that sum to `per_class` in every class, the earliest first; bool [groups].

    A subset sum over the classes together. The sums that groups i, i+1, … can reach are the bits
    of one integer, a pair (a, b) at a * width + b; twice the room per row keeps b from carrying.
    """
    width = 2 * (per_class + 1)
    weights = np.array([width, 1])[-sizes.shape[1] :]
    rows = per_class + 1 if sizes.shape[1] == 2 else 1
    grid = sum(((1 << (per_class + 1)) - 1) << (a * width) for a in range(rows))

    fits = (sizes <= per_class).all(axis=1)
    steps = [int(step) for step in sizes @ weights]
    reachable = [1]
    for step, fit in zip(reversed(steps), reversed(fits), strict=True):
        later = reachable[-1]
        reachable.append(later | (later << step & grid) if fit else later)
    everything = reachable.pop()

    unit = int(weights.sum())
    target = per_class * unit
    if not everything >> target & 1:
        possible = max(n for n in range(per_class) if everything >> (n * unit) & 1)
        raise InputError(
            f"no {per_class} test studies per class can be drawn without parting equal reports: "
            + (f"set test_per_class to {possible}" if possible else "set duplicates to 'ignore'")
        )
    chosen = np.zeros(len(sizes), dtype=bool)
    for i, step in enumerate(steps):
        later = reachable.pop()
        if fits[i] and target >= step and later >> (target - step) & 1:
            chosen[i] = True
            target -= step
    return chosen
