"""Every number that a chapter takes has a range, and no value outside of it begins any work."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.backbones import HUB_NAMES
from cxr_mtl.models.demo_architecture import DemoName
from cxr_mtl.runs.parameter_ranges import MODELS, RANGES
from cxr_mtl.runs.parameters import merge_declarations, resolve
from cxr_mtl.runs.stages import read_chapters

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def declared():
    return merge_declarations({c.name: c.parameters for c in read_chapters(ROOT / "book")})


def test_every_number_has_a_range_with_two_ends(declared):
    for name, parameter in declared.items():
        value = parameter.default
        if isinstance(value, int | float) and not isinstance(value, bool):
            ends = {field for bound in RANGES[name].metadata for field in bound.__slots__}
            assert ends & {"ge", "gt"}, name
            assert ends & {"le", "lt"}, name


@pytest.mark.parametrize(
    "override",
    [
        "seed=4294967296",
        "seed=2147483648",
        "tsne_perplexity=0",
        "tsne_perplexity=-1",
        "depths=[99]",
        "depths=[1, 1]",
        "depths=[-1]",
        "learning_rate=1e308",
        "head_learning_rate=1e300",
        "weight_decay=1e9",
        "epochs=100000000000000000000000",
        "search_epochs=100000000000000000000000",
        "trials=10000000000",
        "threads=100000",
        "workers=100000",
        "seeds=10000000",
        "temperature=1e-300",
        "temperature=1e300",
        "batch_size=1e9",
        "batch_size=1000000000",
        "phantom_size=1",
        "phantom_size=100000",
        "test_per_class=0",
        "test_per_class=1000000000000",
        "example_k=0",
        "plain_repeats=0",
        "fast_repeats=1000000000",
        "exact_pairs=0",
        "exact_steps=1000000000",
        "weights=[1e308, 1, 1]",
        "dropout=1",
        "unfrozen_blocks=1000",
        "backbone=biomedclp",
        "backbone=",
        "general_model=hf-hub:owner",
        "general_model=hf-hub:owner/name/../..",
        "backbone=local-dir:no such folder",
        "backbone=local-dir:with\0null",
    ],
)
def test_values_that_would_fail_late_or_never_end_are_refused(declared, override):
    name = override.partition("=")[0]
    with pytest.raises(InputError, match=f"^-p: {name} = .* is (out of range|not of type)"):
        resolve(declared, {}, "", [override])


def test_the_models_with_a_name_are_those_that_can_be_loaded(declared, tmp_path):
    assert set(MODELS) == {*HUB_NAMES, *get_args(DemoName)}
    for source in (
        *MODELS,
        "hf-hub:timm/vit_base_patch16_clip_224.openai",
        f"local-dir:{tmp_path}",
    ):
        assert resolve(declared, {}, "", [f"backbone={source}"])["backbone"] == source


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch sees a GPU")
def test_a_gpu_that_is_not_there_is_refused(declared):
    with pytest.raises(InputError, match="PyTorch sees no GPU: give cpu or auto"):
        resolve(declared, {}, "", ["device=cuda"])
