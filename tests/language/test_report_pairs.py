"""No report that is tested on is trained on, by study and by equal text."""

import pandas as pd
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import normalise_text
from cxr_mtl.language.encoder_training import AnswerPairs
from cxr_mtl.language.report_pairs import (
    paired_reports,
    summary_pairs,
    with_hard_negatives,
    with_variants,
)


@pytest.fixture
def reports():
    rows = [
        (str(n), f"Findings {n}.", "Normal." if n % 2 else f"Impression {n}.") for n in range(40)
    ]
    table = pd.DataFrame(rows, columns=["study", "findings", "impression"])
    table.loc[3, "findings"] = ""
    table.loc[4, "impression"] = "XXXX"
    table.loc[[20, 30], "findings"] = ["findings  1.", "FINDINGS 11."]
    return table


@pytest.fixture
def split():
    parts = ["test"] * 10 + ["validation"] * 10 + ["train"] * 15  # 35 to 39 have no image
    return pd.DataFrame({"study": [str(n) for n in range(35)], "split": parts})


def test_parts_are_those_of_the_run_and_hold_no_equal_findings(reports, split):
    pairs = paired_reports(reports, split, test_reports=8, seed=0).set_index("study")
    assert set(pairs.index) == {str(n) for n in range(40)} - {"3", "4"}
    assert (pairs["part"][[str(n) for n in (0, 1, 2, 5, 6, 7, 8, 9)]] == "test").all()
    assert (pairs["part"][["20", "30"]] == "unused").all()
    assert (pairs["part"][["35", "39"]] == "train").all()
    texts = pairs["findings"].map(normalise_text).groupby(pairs["part"]).agg(set)
    assert not texts["test"] & (texts["train"] | texts["validation"])
    assert not texts["validation"] & texts["train"]


def test_test_reports_are_filled_up_from_those_trained_on_by_the_seed(reports, split):
    one, same, other = (
        paired_reports(reports, split, test_reports=14, seed=seed)["part"] for seed in (0, 0, 1)
    )
    assert (one == "test").sum() == 14
    assert one.equals(same)
    assert not one.equals(other)
    assert (one == "validation").sum() == 10


def test_pairs_lead_from_findings_to_impressions_and_equal_ones_are_one_answer(reports, split):
    pairs = paired_reports(reports, split, test_reports=8, seed=0)
    texts = [*pairs["findings"], *pairs["impression"]]
    for part in ("train", "validation", "test"):
        found = summary_pairs(pairs, part)
        own = pairs[pairs["part"] == part]
        assert [texts[row] for row in found.anchors] == list(own["findings"])
        assert [texts[row] for row in found.positives] == list(own["impression"])
        answers = own["impression"].map(normalise_text).reset_index(drop=True)
        same = answers.groupby(found.answers.numpy()).nunique()
        assert (same == 1).all()
        assert len(same) == answers.nunique()


def test_too_few_reports_are_refused(reports, split):
    with pytest.raises(InputError, match="38 reports have findings and an impression"):
        paired_reports(reports, split, test_reports=39, seed=0)
    with pytest.raises(InputError, match="left for train"):
        paired_reports(reports[:20], split, test_reports=8, seed=0)


TEXTS = [
    "The heart is normal in size. Small left pleural effusion.",
    "XXXX.",
    "The lungs are clear. No pneumothorax.",
    "Small left pleural effusion.",
    "XXXX XXXX.",
    "No acute disease.",
]
PAIRS = AnswerPairs(torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5]), torch.tensor([7, 8, 9]))


def test_a_hard_negative_is_the_pairs_own_impression_told_wrongly():
    texts, pairs = with_hard_negatives(TEXTS, PAIRS, seed=0)
    assert texts[:6] == TEXTS
    assert (texts, pairs.rows()) == (lambda t, p: (t, p.rows()))(
        *with_hard_negatives(TEXTS, PAIRS, seed=0)
    )
    for positive, negative in zip(pairs.positives, pairs.hard_negatives, strict=True):
        if negative >= 0:
            assert texts[negative] != texts[positive]
    rows = [row for row in pairs.hard_negatives.tolist() if row >= 0]
    assert rows == list(range(6, len(texts)))
    assert pairs.hard_negatives[0] >= 0


def test_variants_lead_to_the_same_answers_and_negatives():
    texts, pairs = with_variants(*with_hard_negatives(TEXTS, PAIRS, seed=0), seed=0)
    assert torch.equal(pairs.anchors[:3], PAIRS.anchors)
    assert len(pairs) > 3
    own = {int(a): place for place, a in enumerate(PAIRS.answers)}
    for place in range(3, len(pairs)):
        first = own[int(pairs.answers[place])]
        assert pairs.positives[place] == PAIRS.positives[first]
        assert pairs.hard_negatives[place] == pairs.hard_negatives[first]
        assert texts[pairs.anchors[place]] != TEXTS[PAIRS.anchors[first]]
    without = with_variants(TEXTS, PAIRS, seed=0)[1]
    assert without.hard_negatives is None
