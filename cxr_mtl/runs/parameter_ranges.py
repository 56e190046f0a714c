"""Ranges and units of parameters by name, and the paper's symbols for them."""

from typing import Any

from pydantic import AfterValidator, Field

from cxr_mtl.base.errors import InputError

_USABLE_WEIGHTS = "a number of at least 0 for each loss, not all of them 0"


def _usable_weights(weights: list[float] | None) -> list[float] | None:
    if weights is not None:
        # Imported where it is needed: PyTorch takes seconds, and most commands name no weights.
        from cxr_mtl.training.losses import LossWeights

        try:
            LossWeights(*weights)
        except (TypeError, InputError):
            raise ValueError(f"give {_USABLE_WEIGHTS}") from None
    return weights


RANGES: dict[str, Any] = {
    "seed": Field(ge=0),
    "phantom_size": Field(ge=1),
    "test_per_class": Field(ge=1),
    "validation_fraction": Field(gt=0, lt=1),
    "unfrozen_blocks": Field(ge=0),
    "trials": Field(ge=1),
    "search_epochs": Field(ge=1),
    "workers": Field(ge=1),
    "threads": Field(ge=1),
    "seeds": Field(ge=1),
    "weights": AfterValidator(_usable_weights),
    "epochs": Field(ge=1),
    "batch_size": Field(ge=2),
    "learning_rate": Field(gt=0),
    "head_learning_rate": Field(gt=0),
    "weight_decay": Field(ge=0),
    "warmup_fraction": Field(ge=0, lt=1),
    "temperature": Field(gt=0),
    "dropout": Field(ge=0, lt=1),
}
"""Ranges of the parameters that have one, in whichever chapter; training's are the trainer's."""

UNITS = {
    "phantom_size": "pixels",
    "test_per_class": "studies per class",
    "validation_fraction": "share of the studies not tested",
    "unfrozen_blocks": "blocks per tower",
    "depths": "blocks per tower",
    "trials": "trials",
    "epochs": "epochs",
    "search_epochs": "epochs",
    "batch_size": "studies",
    "warmup_fraction": "share of the steps",
    "dropout": "share of the activations",
    "workers": "processes",
    "threads": "CPU threads per training",
    "seeds": "trainings",
    "example_k": "studies",
    "tsne_perplexity": "studies",
    "plain_repeats": "steps",
    "fast_repeats": "steps",
    "exact_pairs": "studies",
    "exact_steps": "steps",
}
"""What the numbers of a parameter count or are shares of; one that is not here has no unit."""

SYMBOLS = {"tau": "temperature"}
"""The paper's symbols that `-p` takes for a parameter's name."""

_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def range_in_words(name: str) -> str:
    """The range that `RANGES` gives a parameter, for readers; nothing where it gives none."""
    if name == "weights":
        return _USABLE_WEIGHTS
    bounds = RANGES[name].metadata if name in RANGES else []
    return " and ".join(
        f"{words} {getattr(bound, field)}"
        for bound in bounds
        for field, words in _BOUNDS.items()
        if hasattr(bound, field)
    )
