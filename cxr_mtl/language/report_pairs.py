"""Findings and impressions of the same reports, split so that no test report is trained on."""

import numpy as np
import pandas as pd
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import normalise_text
from cxr_mtl.data.studies import says_nothing
from cxr_mtl.language.encoder_training import AnswerPairs

PARTS = ("train", "validation", "test")


def paired_reports(
    reports: pd.DataFrame, split: pd.DataFrame, *, test_reports: int, seed: int
) -> pd.DataFrame:
    """The reports that have findings and an impression, each in a part that a run's split allows.

    Test and validation studies of the run are such here, and all others are trained on, those
    without an image too. Where fewer than `test_reports` are test reports, others are drawn to
    them. A report whose findings a test report has word for word, or a validation report has, is
    in neither part below it: it is `unused`.

    Args:
        reports: the columns study, findings, impression, and any others.
        split: the columns study and split, of train, validation and test.

    Returns:
        The rows of `reports` with the column `part`.

    Raises:
        InputError: no part would hold a report, or fewer than `test_reports` are there.
    """
    empty = reports["findings"].map(says_nothing) | reports["impression"].map(says_nothing)
    pairs = reports[~empty].reset_index(drop=True)
    if len(pairs) < test_reports:
        raise InputError(
            f"{len(pairs)} reports have findings and an impression, fewer than the {test_reports} "
            "to test on: give a smaller test_reports"
        )
    part = pairs["study"].map(split.set_index("study")["split"]).fillna("train")
    rng = np.random.default_rng(seed)
    lacking = max(0, test_reports - int((part == "test").sum()))
    trained_on = np.flatnonzero(part == "train")
    part.iloc[rng.permutation(trained_on)[:lacking]] = "test"
    findings = pairs["findings"].map(normalise_text)
    for above, below in (("test", ("train", "validation")), ("validation", ("train",))):
        known = findings.isin(set(findings[part == above]))
        part = part.mask(known & part.isin(below), "unused")
    missing = [name for name in PARTS if not (part == name).any()]
    if missing:
        raise InputError(
            f"no report with findings and an impression is left for {missing[0]}: give more "
            "reports, or a smaller test_reports"
        )
    return pairs.assign(part=part)


def summary_pairs(pairs: pd.DataFrame, part: str) -> AnswerPairs:
    """Findings as anchors and impressions as positives of one part.

    The rows are those of all findings and then all impressions of `pairs`, in its order;
    impressions that are equal word for word are one answer.
    """
    rows = torch.from_numpy(np.flatnonzero(pairs["part"] == part))
    answers, _ = pd.factorize(pairs["impression"].map(normalise_text))
    return AnswerPairs(rows, rows + len(pairs), torch.from_numpy(answers)[rows])
