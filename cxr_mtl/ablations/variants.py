"""Variants of the training: what each of them changes, in the training or in the data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Literal, get_args

import pandas as pd

from cxr_mtl.base.choices import Deidentification, LabelRule, Sections
from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.data.splits import normalise_text
from cxr_mtl.data.studies import label_of, report_text
from cxr_mtl.training.losses import LOSS_TERMS, PAPER_WEIGHTS, LossWeights
from cxr_mtl.training.trainer import TrainingConfig

Group = Literal[
    "seed", "losses", "temperature", "unfrozen blocks", "fusion", "dropout", "weights", "data"
]
DataChoice = Literal[
    "findings only",
    "impression only",
    "XXXX removed",
    "label mesh-normal",
    "drop No Indexing",
    "no test report in training",
]

TEMPERATURES = (0.02, 0.2)
DROPOUTS = (0.0, 0.3)
UNUSED = "unused"

_SECTIONS: dict[str, Sections] = {"findings only": "findings", "impression only": "impression"}
_DEIDENTIFICATION: dict[str, Deidentification] = {"XXXX removed": "remove"}
_LABEL_RULES: dict[str, LabelRule] = {
    "label mesh-normal": "mesh-normal",
    "drop No Indexing": "drop-no-indexing",
}


@dataclass(frozen=True)
class Variant:
    """A training that differs from the baseline in one thing.

    `changes` are values for `TrainingConfig`. With a `data_choice`, it is trained and tested on
    `with_data_choice(studies, data_choice)`.
    """

    name: str
    group: Group
    changes: Mapping[str, Any]
    unfrozen_blocks: int
    data_choice: DataChoice | None = None

    def __str__(self) -> str:
        return f"the variant {self.name}"

    def config(self, baseline: TrainingConfig) -> TrainingConfig:
        """The hyperparameters of `baseline` with this variant's changes.

        Raises:
            InputError: a changed value is unknown or out of its range.
        """
        return TrainingConfig(**{**dict(baseline), **self.changes})


def list_variants(
    config: TrainingConfig,
    unfrozen_blocks: int,
    seeds: int,
    depths: Sequence[int],
    data_choices: Sequence[DataChoice] = (),
) -> list[Variant]:
    """All variants of the training with `config` and `unfrozen_blocks`, the baseline left out.

    - seed: the following `seeds` - 1 seeds.
    - losses: every proper subset of the losses with a weight above 0, which keep their weights.
    - temperature, dropout: `TEMPERATURES`, `DROPOUTS`.
    - unfrozen blocks: `depths`, numbers of them.
    - fusion: `renormalise_fused` flipped, and the SupCon loss on the images or texts alone.
    - weights: the paper's, and all 1.
    - data: `data_choices`, those that are possible (`possible_data_choices`).

    What equals the baseline is left out. So is what concerns a loss without weight in the baseline,
    and, where no loss that needs labels has a weight, other labels and weights for such losses.

    Raises:
        InputError: fewer than 1 seed.
    """
    if seeds < 1:
        raise InputError(f"seeds is {seeds}: give at least 1, which is the baseline's own")
    return [
        *(
            Variant(name, group, changes, unfrozen_blocks)
            for name, group, changes in _training_changes(config, seeds)
            if any(getattr(config, key) != value for key, value in changes.items())
        ),
        *(
            Variant(f"unfrozen blocks {blocks}", "unfrozen blocks", {}, blocks)
            for blocks in depths
            if blocks != unfrozen_blocks
        ),
        *(
            Variant(choice, "data", {}, unfrozen_blocks, choice)
            for choice in data_choices
            if choice != "label mesh-normal" or config.weights.need_labels
        ),
    ]


def _training_changes(
    config: TrainingConfig, seeds: int
) -> Iterator[tuple[str, Group, dict[str, Any]]]:
    for seed in range(config.seed + 1, config.seed + seeds):
        yield f"seed {seed}", "seed", {"seed": seed}
    weights = vars(config.weights)
    present = [name for name, weight in weights.items() if weight]
    for size in range(1, len(present)):
        for kept in combinations(present, size):
            name = " + ".join(LOSS_TERMS[loss].title for loss in kept)
            changed = {loss: weights[loss] if loss in kept else 0.0 for loss in weights}
            yield name, "losses", {"weights": LossWeights(**changed)}
    for temperature in TEMPERATURES:
        yield f"temperature {temperature}", "temperature", {"temperature": temperature}
    if config.weights.supcon:
        flipped = not config.renormalise_fused
        name = "F renormalised" if flipped else "F not renormalised"
        yield name, "fusion", {"renormalise_fused": flipped}
        for modality in ("image", "text"):
            yield f"SupCon on {modality}s", "fusion", {"supcon_on": modality}
    if config.weights.bce:
        for dropout in DROPOUTS:
            yield f"dropout {dropout:g}", "dropout", {"dropout": dropout}
    if config.weights.need_labels:
        yield "the paper's weights", "weights", {"weights": PAPER_WEIGHTS}
        ones = LossWeights(**dict.fromkeys(weights, 1.0))
        yield "all weights 1", "weights", {"weights": ones}


def possible_data_choices(studies: pd.DataFrame, batch_size: int) -> list[DataChoice]:
    """The data choices whose columns the study table has, that change it and leave enough of it.

    Enough are a batch of training studies, and one at least of each class, 0 and 1, that had any. A
    table of pairs has no sections and headings, so only the choice of training studies is left.

    Raises:
        InputError: as `with_data_choice`.
    """
    columns = ["text", "label", "split"]
    possible: list[DataChoice] = []
    for choice in get_args(DataChoice):
        if _columns_of(choice) <= set(studies.columns):
            after = with_data_choice(studies, choice)
            changed = (after[columns].to_numpy() != studies[columns].to_numpy()).any()
            if changed and _is_trainable(after, studies, batch_size):
                possible.append(choice)
    return possible


def _is_trainable(after: pd.DataFrame, before: pd.DataFrame, batch_size: int) -> bool:
    """Whether a batch of training studies is left, and no class is lost among them."""
    left, had = (table["label"][table["split"] == "train"] for table in (after, before))
    classes = {0, 1} & set(had)
    return len(left) >= batch_size and classes <= set(left)


def with_data_choice(studies: pd.DataFrame, choice: DataChoice) -> pd.DataFrame:
    """The study table under one other choice of data; the rows and the test studies stay.

    - "findings only", "impression only", "XXXX removed": `text` is made with this choice, in all
      parts; where the choice leaves no text, it stays.
    - "label mesh-normal", "drop No Indexing": the training studies are labelled by this rule, and
      those it drops are not trained on.
    - "no test report in training": nor are those whose normalised text a test study has.

    A study that is no longer trained on has the `split` "unused".

    Raises:
        InputError: an unknown choice, a column it needs is not there, or texts that were not made
            of the sections of the table.
    """
    check_choice("data_choice", choice, DataChoice)
    missing = sorted(_columns_of(choice) - set(studies.columns))
    if missing:
        raise InputError(
            f"the data choice '{choice}' needs the column {missing[0]}, which the study table has "
            "not: leave this choice out"
        )
    if choice in _LABEL_RULES:
        return _relabelled(studies, _LABEL_RULES[choice])
    if choice == "no test report in training":
        texts = studies["text"].map(normalise_text)
        return _without(studies, texts.isin(set(texts[studies["split"] == "test"])))
    sections, deidentification = _text_choices(studies)
    texts = _texts(
        studies,
        _SECTIONS.get(choice, sections),
        _DEIDENTIFICATION.get(choice, deidentification),
    )
    kept = [new or old for new, old in zip(texts, studies["text"], strict=True)]
    return studies.assign(text=kept)


def _columns_of(choice: DataChoice) -> set[str]:
    if choice in _LABEL_RULES:
        return {"mesh_major"}
    return set() if choice == "no test report in training" else {"findings", "impression"}


def _relabelled(studies: pd.DataFrame, rule: LabelRule) -> pd.DataFrame:
    labels = pd.Series(
        [label_of(list(headings), rule) for headings in studies["mesh_major"]],
        index=studies.index,
        dtype="float64",
    )
    changes = (studies["split"] == "train") & labels.notna()
    relabelled = labels.where(changes, studies["label"]).astype("int64")
    return _without(studies.assign(label=relabelled), labels.isna())


def _without(studies: pd.DataFrame, dropped: pd.Series) -> pd.DataFrame:
    """The table with the `dropped` among its training studies unused."""
    unused = (studies["split"] == "train") & dropped
    return studies.assign(split=studies["split"].mask(unused, UNUSED))


def _text_choices(studies: pd.DataFrame) -> tuple[Sections, Deidentification]:
    """The choices that the texts of the table were made with, found by making them again."""
    for choices in product(get_args(Sections), get_args(Deidentification)):
        if _texts(studies, *choices) == list(studies["text"]):
            return choices
    raise InputError(
        "the texts of the study table are not made of its findings and impressions: run chapter "
        "01 again"
    )


def _texts(
    studies: pd.DataFrame, sections: Sections, deidentification: Deidentification
) -> list[str]:
    return [
        report_text(findings, impression, sections, deidentification)
        for findings, impression in zip(studies["findings"], studies["impression"], strict=True)
    ]
