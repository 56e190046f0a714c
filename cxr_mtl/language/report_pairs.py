"""Findings and impressions of the same reports, split so that no test report is trained on."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import normalise_text
from cxr_mtl.data.studies import says_nothing
from cxr_mtl.language.encoder_training import AnswerPairs
from cxr_mtl.language.variant_tasks import STYLES
from cxr_mtl.report_variants import ERROR_CLASSES, equal_variant, erroneous

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


def with_hard_negatives(
    texts: list[str], pairs: AnswerPairs, *, seed: int
) -> tuple[list[str], AnswerPairs]:
    """The same pairs with an impression of one error each, of a class drawn, behind the texts.

    A pair whose impression the rules cannot tell wrongly has none.
    """
    texts, rows = list(texts), []
    for anchor, positive in zip(pairs.anchors.tolist(), pairs.positives.tolist(), strict=True):
        rng = random.Random(f"{seed} {anchor}")
        for error_class in rng.sample(ERROR_CLASSES, len(ERROR_CLASSES)):
            wrong = erroneous(texts[anchor], texts[positive], error_class, rng)
            if wrong is not None:
                rows.append(len(texts))
                texts.append(wrong)
                break
        else:
            rows.append(-1)
    return texts, replace(pairs, hard_negatives=torch.tensor(rows))


def with_variants(
    texts: list[str], pairs: AnswerPairs, *, seed: int
) -> tuple[list[str], AnswerPairs]:
    """The pairs and as many again, whose anchors say the same in a style that is drawn.

    An anchor in which no style changes anything has no second one. Hard negatives, where there
    are some, are those of the pair.
    """
    texts, places, anchors = list(texts), [], []
    for place, anchor in enumerate(pairs.anchors.tolist()):
        rng = random.Random(f"{seed} {anchor}")
        for style in rng.sample(STYLES, len(STYLES)):
            changed = equal_variant(texts[anchor], "", style, rng)
            if changed is not None:
                places.append(place)
                anchors.append(len(texts))
                texts.append(changed)
                break
    more = pairs.at(torch.tensor(places, dtype=torch.int64))
    negatives = pairs.hard_negatives
    return texts, AnswerPairs(
        torch.cat([pairs.anchors, torch.tensor(anchors, dtype=torch.int64)]),
        torch.cat([pairs.positives, more.positives]),
        torch.cat([pairs.answers, more.answers]),
        None if negatives is None else torch.cat([negatives, more.hard_negatives]),
    )
