"""The variants of the training: each differs from the baseline in one thing that matters."""

from collections import Counter
from dataclasses import asdict
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from cxr_mtl.ablations.variants import (
    DataChoice,
    Group,
    Variant,
    list_variants,
    possible_data_choices,
    with_data_choice,
)
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_table, write_table
from cxr_mtl.data.studies import report_text
from cxr_mtl.training.losses import PAPER_WEIGHTS, LossWeights
from cxr_mtl.training.trainer import TrainingConfig

BASELINE = TrainingConfig(weights=LossWeights(bce=0.3, supcon=0.4, clip=0.5), seed=3)


def changed(config, variant):
    """Names of the hyperparameters in which a variant differs from its baseline."""
    values, others = config.model_dump(), variant.config(config).model_dump()
    return {name for name in values if values[name] != others[name]}


def test_every_variant_differs_from_the_baseline_in_one_thing_and_from_every_other():
    made = list_variants(BASELINE, 1, seeds=5, depths=(0, 1, 2), data_choices=get_args(DataChoice))
    assert Counter(variant.group for variant in made) == {
        "seed": 4,
        "losses": 6,
        "temperature": 2,
        "unfrozen blocks": 2,
        "fusion": 3,
        "dropout": 2,
        "weights": 2,
        "data": 6,
    }
    assert {variant.group for variant in made} == set(get_args(Group))
    assert len({variant.name for variant in made}) == len(made)
    contents = [
        str((variant.config(BASELINE), variant.unfrozen_blocks, variant.data_choice))
        for variant in made
    ]
    assert len(set(contents)) == len(made)
    for variant in made:
        others = (variant.unfrozen_blocks != 1) + (variant.data_choice is not None)
        assert len(changed(BASELINE, variant)) + others == 1


def test_the_seeds_follow_the_baselines_own():
    made = list_variants(BASELINE, 1, seeds=3, depths=())
    assert [v.config(BASELINE).seed for v in made if v.group == "seed"] == [4, 5]
    assert not [v for v in list_variants(BASELINE, 1, seeds=1, depths=()) if v.group == "seed"]
    with pytest.raises(InputError, match="seeds is 0"):
        list_variants(BASELINE, 1, seeds=0, depths=())


def test_the_losses_left_keep_the_baselines_weights():
    made = list_variants(BASELINE, 1, seeds=1, depths=())
    weights = {v.name: v.config(BASELINE).weights for v in made if v.group == "losses"}
    assert weights == {
        "BCE": LossWeights(0.3, 0, 0),
        "SupCon": LossWeights(0, 0.4, 0),
        "CLIP": LossWeights(0, 0, 0.5),
        "BCE + SupCon": LossWeights(0.3, 0.4, 0),
        "BCE + CLIP": LossWeights(0.3, 0, 0.5),
        "SupCon + CLIP": LossWeights(0, 0.4, 0.5),
    }


def test_a_value_that_the_baseline_has_is_no_variant():
    config = TrainingConfig(
        weights=PAPER_WEIGHTS, temperature=0.2, dropout=0, renormalise_fused=False, supcon_on="text"
    )
    names = {variant.name for variant in list_variants(config, 0, seeds=1, depths=(0, 2))}
    assert not names & {
        "temperature 0.2", "dropout 0", "F not renormalised", "SupCon on texts",
        "the paper's weights", "unfrozen blocks 0",
    }  # fmt: skip
    assert names > {"temperature 0.02", "dropout 0.3", "F renormalised", "all weights 1"}


def test_without_labels_only_what_needs_none_is_varied():
    config = TrainingConfig(weights=LossWeights(bce=0, supcon=0, clip=1))
    made = list_variants(config, 1, seeds=2, depths=(0, 1), data_choices=get_args(DataChoice))
    assert {v.group for v in made} == {"seed", "temperature", "unfrozen blocks", "data"}
    left = [variant.data_choice for variant in made if variant.data_choice]
    assert left == [choice for choice in get_args(DataChoice) if choice != "label mesh-normal"]


def test_each_depth_given_but_the_baselines_is_a_variant():
    made = list_variants(BASELINE, 3, seeds=1, depths=(1, 3, 12))
    depths = [v.unfrozen_blocks for v in made if v.group == "unfrozen blocks"]
    assert depths == [1, 12]
    assert {v.unfrozen_blocks for v in made if v.group != "unfrozen blocks"} == {3}


def test_a_change_that_no_hyperparameter_has_is_refused():
    with pytest.raises(InputError, match="epoch is 5"):
        Variant("more", "seed", {"epoch": 5}, 1).config(BASELINE)


def test_the_fields_of_a_variant_are_plain_values():
    weights = next(v for v in list_variants(BASELINE, 1, seeds=1, depths=()) if v.name == "CLIP")
    assert asdict(weights)["changes"] == {"weights": vars(LossWeights(0.0, 0.0, 0.5))}
    assert str(weights) == "the variant CLIP"


ROWS = [
    # study, split, findings, impression, headings, label
    ("1", "train", "Clear lungs.", "Normal.", ["normal"], 0),
    ("2", "train", "Seen on XXXX.", "", ["No Indexing"], 0),
    ("3", "train", "", "Large effusion.", ["Pleural Effusion", "Opacity"], 1),
    ("4", "validation", "XXXX.", "Small XXXX nodule.", ["Nodule"], 1),
    ("5", "validation", "Clear.", "Quiet.", ["No Indexing"], 0),
    ("6", "test", "CLEAR  lungs.", "Normal.", ["normal"], 0),
    ("7", "test", "Hazy.", "Pneumonia.", ["No Indexing"], 0),
]


@pytest.fixture
def studies() -> pd.DataFrame:
    table = pd.DataFrame(
        ROWS, columns=["study", "split", "findings", "impression", "mesh_major", "label"]
    )
    return with_texts(table, "findings+impression", "keep")


def with_texts(table, sections, deidentification):
    texts = [
        report_text(row.findings, row.impression, sections, deidentification)
        for row in table.itertuples()
    ]
    return table.assign(text=texts)


@pytest.mark.parametrize(
    ("choice", "texts"),
    [
        (
            "findings only",
            ["Clear lungs.", "Seen on XXXX.", "Large effusion.", "XXXX. Small XXXX nodule.",
             "Clear.", "CLEAR lungs.", "Hazy."],
        ),
        (
            "impression only",
            ["Normal.", "Seen on XXXX.", "Large effusion.", "Small XXXX nodule.", "Quiet.",
             "Normal.", "Pneumonia."],
        ),
        (
            "XXXX removed",
            ["Clear lungs. Normal.", "Seen on .", "Large effusion.", ". Small nodule.",
             "Clear. Quiet.", "CLEAR lungs. Normal.", "Hazy. Pneumonia."],
        ),
    ],
)  # fmt: skip
def test_a_choice_of_text_changes_it_in_all_parts_and_nothing_else(studies, choice, texts):
    after = with_data_choice(studies, choice)
    assert after["text"].tolist() == texts
    pd.testing.assert_frame_equal(after.drop(columns="text"), studies.drop(columns="text"))


@pytest.mark.parametrize(
    ("choice", "labels", "parts"),
    [
        ("label mesh-normal", [0, 1, 1], ["train", "train", "train"]),
        ("drop No Indexing", [0, 0, 1], ["train", "unused", "train"]),
        ("no test report in training", [0, 0, 1], ["unused", "train", "train"]),
    ],
)
def test_a_choice_of_labels_or_studies_changes_the_training_studies_alone(
    studies, choice, labels, parts
):
    after = with_data_choice(studies, choice)
    assert after["label"].tolist()[:3] == labels
    assert after["label"].dtype == "int64"
    assert after["split"].tolist()[:3] == parts
    pd.testing.assert_frame_equal(after[3:], studies[3:])
    assert after["text"].equals(studies["text"])


@pytest.mark.parametrize("sections", ["findings+impression", "findings", "impression"])
@pytest.mark.parametrize("deidentification", ["keep", "mask", "remove"])
def test_a_choice_of_text_keeps_the_other_choice_that_the_table_was_made_with(
    studies, sections, deidentification
):
    usable = studies.drop(index=3)  # its findings alone are no text, so no table would hold it
    table = with_texts(usable, sections, deidentification)
    removed = with_data_choice(table, "XXXX removed")
    assert removed.equals(with_texts(table, sections, "remove"))
    findings = with_data_choice(table, "findings only")
    assert findings.equals(with_texts(table, "findings", deidentification))


def test_a_choice_that_changes_nothing_is_not_possible(studies):
    assert possible_data_choices(studies, 2) == list(get_args(DataChoice))
    plain = with_texts(studies, "findings", "remove").drop(index=[0, 1, 3])
    assert possible_data_choices(plain, 1) == ["impression only"]


def test_a_choice_that_leaves_less_than_a_batch_to_train_on_is_not_possible(studies):
    dropping = {"drop No Indexing", "no test report in training"}
    assert set(possible_data_choices(studies, 3)) == set(get_args(DataChoice)) - dropping


def test_a_choice_that_leaves_no_training_study_of_a_class_is_not_possible(studies):
    normal_is_unindexed = studies.drop(index=0)
    assert "label mesh-normal" not in possible_data_choices(normal_is_unindexed, 1)
    assert "drop No Indexing" not in possible_data_choices(normal_is_unindexed, 1)
    only_abnormal = studies[(studies["split"] != "train") | (studies["label"] == 1)]
    only_abnormal = only_abnormal.assign(
        text=only_abnormal["text"].where(only_abnormal["split"] == "train", "Large effusion."),
    )
    twice = pd.concat([only_abnormal, only_abnormal[:1].assign(study="8", text="Other.")])
    pairs = twice[["study", "text", "label", "split"]]
    assert possible_data_choices(pairs, 1) == ["no test report in training"]


def test_a_table_read_from_disk_allows_the_same_choices(studies, tmp_path):
    write_table(tmp_path / "studies.parquet", studies)
    read = read_table(tmp_path / "studies.parquet")
    assert possible_data_choices(read, 2) == list(get_args(DataChoice))
    for choice in get_args(DataChoice):
        columns = ["text", "label", "split"]
        after = with_data_choice(read, choice)[columns].to_numpy()
        np.testing.assert_array_equal(after, with_data_choice(studies, choice)[columns])


def test_pairs_without_sections_and_headings_have_only_the_choice_of_training_studies(studies):
    pairs = studies[["study", "text", "label", "split"]]
    assert possible_data_choices(pairs, 2) == ["no test report in training"]
    with pytest.raises(InputError, match=r"'findings only' needs the column findings"):
        with_data_choice(pairs, "findings only")
    with pytest.raises(InputError, match=r"'drop No Indexing' needs the column mesh_major"):
        with_data_choice(pairs, "drop No Indexing")


def test_an_unknown_choice_and_texts_of_another_origin_are_refused(studies):
    with pytest.raises(InputError, match="data_choice='impressions' is no choice"):
        with_data_choice(studies, "impressions")
    with pytest.raises(InputError, match="not made of its findings"):
        with_data_choice(studies.assign(text="Something else."), "findings only")
