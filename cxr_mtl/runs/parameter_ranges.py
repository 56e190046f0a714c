"""Ranges and units of parameters by name, and the paper's symbols for them."""

import re
from typing import Any

from pydantic import AfterValidator, Field

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import user_path

MOST_BLOCKS = 64
MOST_WEIGHT = 1000
_USABLE_WEIGHTS = f"a number from 0 to {MOST_WEIGHT} for each loss, not all of them 0"
_USABLE_DEPTHS = f"numbers from 0 to {MOST_BLOCKS}, none of them twice"
MODELS = ("biomedclip", "clip", "demo-biomed", "demo-general")
_USABLE_MODEL = f"one of {', '.join(MODELS)}, or hf-hub:OWNER/NAME, or local-dir:FOLDER"
_IN_WORDS = {
    "weights": _USABLE_WEIGHTS,
    "depths": _USABLE_DEPTHS,
    "backbone": _USABLE_MODEL,
    "general_model": _USABLE_MODEL,
    "device": "cuda only where PyTorch sees a GPU",
}


def _usable_weights(weights: list[float] | None) -> list[float] | None:
    if weights is not None:
        # Imported where it is needed: PyTorch takes seconds, and most commands name no weights.
        from cxr_mtl.training.losses import LossWeights

        try:
            LossWeights(*weights)
        except (TypeError, InputError):
            raise ValueError(f"give {_USABLE_WEIGHTS}") from None
        if max(weights) > MOST_WEIGHT:
            raise ValueError(f"give {_USABLE_WEIGHTS}")
    return weights


def _usable_depths(depths: list[int]) -> list[int]:
    if len(set(depths)) < len(depths) or not all(0 <= depth <= MOST_BLOCKS for depth in depths):
        raise ValueError(f"give {_USABLE_DEPTHS}")
    return depths


def _usable_model(source: str) -> str:
    if source.startswith("local-dir:"):
        folder = user_path(source.removeprefix("local-dir:"))
        if folder.is_file():
            raise ValueError("that is a file, so name the folder that holds it")
        if not folder.is_dir():
            raise ValueError("there is no such folder, so correct its path")
    elif source not in MODELS and not re.fullmatch(r"hf-hub:[\w.-]+/[\w.-]+", source):
        raise ValueError(f"give {_USABLE_MODEL}")
    return source


def _usable_device(device: str) -> str:
    if device == "cuda":
        from cxr_mtl.models.features import pick_device

        try:
            pick_device(device)
        except InputError as error:
            raise ValueError(str(error)) from None
    return device


RANGES: dict[str, Any] = {
    "backbone": AfterValidator(_usable_model),
    "general_model": AfterValidator(_usable_model),
    "device": AfterValidator(_usable_device),
    # NumPy's and scikit-learn's seeds end at 2³²; trials and ablations count on from this one.
    "seed": Field(ge=0, lt=2**31),
    "phantom_size": Field(ge=16, le=2048),
    "test_per_class": Field(ge=1, le=100_000),
    "validation_fraction": Field(gt=0, lt=1),
    "unfrozen_blocks": Field(ge=0, le=MOST_BLOCKS),
    "depths": AfterValidator(_usable_depths),
    "trials": Field(ge=1, le=10_000),
    "search_epochs": Field(ge=1, le=10_000),
    "workers": Field(ge=1, le=128),
    "threads": Field(ge=1, le=256),
    "seeds": Field(ge=1, le=1000),
    "weights": AfterValidator(_usable_weights),
    "epochs": Field(ge=1, le=10_000),
    "batch_size": Field(ge=2, le=65_536),
    "learning_rate": Field(gt=0, le=10),
    "head_learning_rate": Field(gt=0, le=10),
    "weight_decay": Field(ge=0, le=10),
    "warmup_fraction": Field(ge=0, lt=1),
    "temperature": Field(ge=0.001, le=100),
    "dropout": Field(ge=0, lt=1),
    "example_k": Field(ge=1, le=1000),
    "tsne_perplexity": Field(ge=1, le=10_000),
    "timed_pairs": Field(ge=2, le=65_536),
    "plain_repeats": Field(ge=1, le=10_000),
    "fast_repeats": Field(ge=1, le=10_000),
    "exact_pairs": Field(ge=2, le=1024),
    "exact_steps": Field(ge=1, le=1000),
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
    "timed_pairs": "studies",
    "plain_repeats": "steps",
    "fast_repeats": "steps",
    "exact_pairs": "studies",
    "exact_steps": "steps",
}
"""What the numbers of a parameter count or are shares of; one that is not here has no unit."""

SYMBOLS = {"tau": "temperature"}
"""The paper's symbols that `-p` takes for a parameter's name."""

READ_WITH = {
    "openi_folder": ("dataset", "openi"),
    "pairs_csv": ("dataset", "pairs"),
    "patient_column": ("dataset", "pairs"),
    "projections_csv": ("view_source", "projections"),
}
"""Parameters that are read with one choice of another only: that one's name, and the choice."""

_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def range_in_words(name: str) -> str:
    """The range that `RANGES` gives a parameter, for readers; nothing where it gives none."""
    if name in _IN_WORDS:
        return _IN_WORDS[name]
    bounds = RANGES[name].metadata if name in RANGES else []
    return " and ".join(
        f"{words} {getattr(bound, field):,}"
        for bound in bounds
        for field, words in _BOUNDS.items()
        if hasattr(bound, field)
    )
