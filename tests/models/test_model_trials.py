"""What of a model's pieces does not go together is told before anything rests on it."""

import shutil

import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.tokenizers import load_tokenizer
from tests.models.edited_model import CONFIG, changed, of, of_model


@pytest.fixture
def folder(untrained_folder, tmp_path):
    return shutil.copytree(untrained_folder, tmp_path / "model")


def more_words(tokenizer):
    words = tokenizer["model"]["vocab"]
    words |= {f"word{number}": len(words) + number for number in range(5)}


UNREADABLE = {
    "a longer context": (
        *of_model("text_cfg", context_length=256),
        "names a context_length of 256 tokens, and the max_position_embeddings of .*config.json "
        r"\(128\) leave room for 128: give at most that many",
    ),
    "fewer positions": (
        *of("config.json", max_position_embeddings=64),
        r"max_position_embeddings of .*config.json \(64\) leave room for 64: give at most",
    ),
    "positions after the padding": (
        *of("config.json", model_type="roberta"),
        r"\(128\) leave room for 127: give at most that many",
    ),
    "no context": (
        *of_model("text_cfg", context_length=0),
        "text_cfg.context_length .*than or equ",
    ),
    "no room for a word": (
        *of_model("text_cfg", context_length=2),
        "text_cfg.context_length .*tha",
    ),
    "a context without end": (*of_model("text_cfg", context_length=10**12), "text_cfg.context_len"),
    "more words": (
        "tokenizer.json",
        more_words,
        "has token ids up to 148, and the vocab_size of its text tower is 144: bring the tokenizer",
    ),
    "a mark beyond the words": (
        *of("tokenizer_config.json", pad_token="[NEW]"),
        "token ids up to 144, and the vocab_size of its text tower is 144",
    ),
    "CLIP's tokenizer": (
        *of_model("text_cfg", hf_tokenizer_name=None),
        "has token ids up to 49,407, and the vocab_size of its text tower is 144",
    ),
    "no padding": (*of("tokenizer_config.json", pad_token=None), "does not have a padding token"),
    "no words": (
        "tokenizer.json",
        lambda c: c["model"].update(vocab={}),
        r"Missing \[UNK\] token",
    ),
    "a text for a length": (*of("tokenizer_config.json", model_max_length="x"), "not supported"),
    "a text for a measure": (
        *of("config.json", layer_norm_eps="x"),
        r"Validation error for field 'layer_norm_eps': .*expected float, got str",
    ),
    "a text for a token": (*of("config.json", pad_token_id="0"), "damaged at pad_token_id"),
}


@pytest.mark.parametrize(("file", "change", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_no_text_can_be_read_by_is_told_when_the_tokenizer_is_loaded(
    folder, file, change, said
):
    changed(folder / file, change)
    with pytest.raises(InputError, match=said) as error:
        load_tokenizer(f"local-dir:{folder}")
    assert "\n" not in str(error.value)


def test_the_words_that_t5_has_beyond_its_embeddings_are_no_trouble(folder):
    def add(tokenizer):
        known = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False)
        word = {"id": 144, "content": "<extra_id_0>", "special": True}
        tokenizer["added_tokens"].append(known | word)

    changed(folder / "tokenizer.json", add)
    change = of("tokenizer_config.json", extra_special_tokens=["<extra_id_0>"])[1]
    changed(folder / "tokenizer_config.json", change)
    tokenize = load_tokenizer(f"local-dir:{folder}")
    assert max(tokenize.tokenizer.get_vocab().values()) == 144
    assert load_backbone(f"local-dir:{folder}")


APART = {
    "another padding": (
        *of("config.json", pad_token_id=3),
        "takes the token 3 for padding (pad_token_id of its config.json), and the tokenizer pads "
        "with 0: bring those that belong to the weights",
    ),
    "no padding": (*of("config.json", pad_token_id=None), "takes the token None for padding"),
    "padding first": (
        *of("tokenizer_config.json", padding_side="left"),
        "pads texts at their start, where the text tower looks for their mark: set padding_side",
    ),
    "pictures of no size": (*of_model("vision_cfg", image_size=0), "cannot embed a picture ("),
    "a colour without a name": (
        CONFIG,
        lambda c: c["preprocess_cfg"].update(resize_mode="longest", fill_color="no such"),
        "cannot embed a picture (",
    ),
    "a mean without measure": (
        CONFIG,
        lambda c: c["preprocess_cfg"].update(mean=[1e300] * 3),
        "cannot embed a picture (it gives NaN or infinity): correct vision_cfg and preprocess_cfg",
    ),
    "an unknown way to resize": (
        CONFIG,
        lambda c: c["preprocess_cfg"].update(resize_mode="crop"),
        "is damaged at preprocess_cfg.resize_mode (Input should be 'shortest', 'longest'",
    ),
    "grey pictures": (
        CONFIG,
        lambda c: c["preprocess_cfg"].update(mode="L"),
        "is damaged at preprocess_cfg.mode (Input should be 'RGB')",
    ),
    "tuples": (
        *of("config.json", return_dict=False),
        "cannot embed 128 tokens ('tuple' object has no attribute 'last_hidden_state'): correct "
        "text_cfg and the tower's config.json",
    ),
    "tokens beside": (*of_model("text_cfg", output_tokens=True), "(it gives tuple, no tensor)"),
    "chunks that divide the context": (
        *of("config.json", chunk_size_feed_forward=8),
        "embed 4 tok",
    ),
    "chunks that do not": (
        *of("config.json", chunk_size_feed_forward=7),
        "cannot embed 128 tokens",
    ),
    "a norm below 0": (*of("config.json", layer_norm_eps=-1.0), "(it gives NaN or infinity)"),
}


@pytest.mark.parametrize(("file", "change", "said"), APART.values(), ids=APART)
def test_pieces_that_do_not_go_together_are_told_when_the_model_is_loaded(
    folder, file, change, said
):
    changed(folder / file, change)
    with pytest.raises(InputError) as error:
        load_backbone(f"local-dir:{folder}")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_model_is_loaded_in_float32_whatever_its_tower_names(folder, backbone, precision):
    changed(folder / "config.json", of("config.json", dtype=precision)[1])
    loaded = load_backbone(f"local-dir:{folder}")
    for name, tensor in backbone.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
