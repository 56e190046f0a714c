"""States on disk are those of the plain blocks, each kept until something it depends on changes."""

import pytest
import torch
from small_language_model import TEXTS

from cxr_mtl.base.errors import InputError
from cxr_mtl.language import state_cache as module
from cxr_mtl.language.split_decoder import split_decoder
from cxr_mtl.language.state_cache import report_states, tokenise_texts


def plain_states(model, text, lower):
    ids = model.tokenizer([text], return_tensors="pt").input_ids
    found = []
    hook = model.decoder.layers[lower].register_forward_pre_hook(
        lambda block, arguments: found.append(arguments[0])
    )
    model.decoder(ids, use_cache=False)
    hook.remove()
    return found[0][0]


@pytest.mark.parametrize("lower", [0, 2, 3])
def test_states_are_what_enters_the_block_above(language_model, tmp_path, lower):
    store = report_states(language_model, TEXTS, lower, tmp_path, precision="float32")
    assert len(store) == len(TEXTS)
    for row, text in enumerate(TEXTS):
        expected = plain_states(language_model, text, lower)
        tokens, lengths, query = store.batch(torch.tensor([row]))
        assert int(lengths[0]) == len(text.split())
        torch.testing.assert_close(tokens[0], expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(query[0], expected[-1], atol=1e-4, rtol=1e-4)


def test_states_are_computed_once_and_anew_for_other_texts_or_blocks(
    language_model, tmp_path, monkeypatch
):
    ran = []
    plain = module.run_blocks
    monkeypatch.setattr(module, "run_blocks", lambda *a: ran.append(len(a[1])) or plain(*a))
    first = report_states(language_model, TEXTS, 2, tmp_path)
    assert sum(ran) == len(set(TEXTS))
    assert report_states(language_model, TEXTS, 2, tmp_path).folder == first.folder
    assert sum(ran) == len(set(TEXTS))
    others = {
        report_states(language_model, texts, lower, tmp_path, **options).folder
        for texts, lower, options in (
            (TEXTS[:-1], 2, {}),
            (TEXTS, 1, {}),
            (TEXTS, 2, {"precision": "float32"}),
            (TEXTS, 2, {"context": 5}),
        )
    }
    assert len(others | {first.folder}) == 5


def test_bfloat16_keeps_the_states_within_its_rounding(language_model, tmp_path):
    half, full = (
        report_states(language_model, TEXTS, 2, tmp_path, precision=precision)
        for precision in ("bfloat16", "float32")
    )
    difference = (half.tokens.float() - full.tokens).norm() / full.tokens.norm()
    assert 0 < difference < 0.01


def test_a_text_beyond_the_context_is_cut_and_told_and_an_empty_one_refused(language_model):
    ids, cut = tokenise_texts(language_model, TEXTS, context=4)
    assert cut == [place for place, text in enumerate(TEXTS) if len(text.split()) > 4]
    assert max(map(len, ids)) == 4
    with pytest.raises(InputError, match="text 1 of 2 is empty"):
        tokenise_texts(language_model, ["clear", ""])


def test_states_are_of_the_lower_blocks_whatever_is_trained_above(language_model, tmp_path):
    above = split_decoder(language_model.decoder, 2, 2)[1]
    with torch.no_grad():
        above.layers[0].mlp.up_proj.weight.add_(1)  # shared with the decoder: only above
    store = report_states(language_model, TEXTS, 2, tmp_path, precision="float32")
    torch.testing.assert_close(
        store.batch(torch.tensor([0])).tokens[0], plain_states(language_model, TEXTS[0], 2)
    )
