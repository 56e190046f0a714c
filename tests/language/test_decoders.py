"""A language model is loaded as its library loads it, or refused in one sentence."""

import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, T5Config, T5ForConditionalGeneration

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.decoders import load_language_model
from cxr_mtl.models.packaged_files import SMOLLM2


def test_states_and_logits_are_those_of_the_library(language_model, language_folder):
    plain = AutoModelForCausalLM.from_pretrained(language_folder)
    ids = torch.tensor([[2, 3, 4, 5], [9, 8, 7, 6]])
    states = language_model.decoder(ids, use_cache=False).last_hidden_state
    torch.testing.assert_close(language_model.head(states), plain(ids).logits)
    assert (language_model.depth, language_model.width) == (4, 32)


def test_the_key_is_of_the_content_and_not_of_the_place(language_folder, tmp_path):
    shutil.copytree(language_folder, tmp_path / "other")
    key = load_language_model(f"local-dir:{language_folder}").key
    assert load_language_model(f"local-dir:{tmp_path / 'other'}").key == key
    model = AutoModelForCausalLM.from_pretrained(language_folder)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] += 1
    model.save_pretrained(tmp_path / "other")
    assert load_language_model(f"local-dir:{tmp_path / 'other'}").key != key


def test_the_packaged_model_is_read_as_plain_float32_and_can_be_saved(tmp_path):
    model = load_language_model("smollm2")
    assert (model.depth, model.width) == (30, 576)
    assert {p.dtype for p in model.decoder.parameters()} == {torch.float32}
    report = (
        "The heart is normal in size. The mediastinum is unremarkable. The lungs are clear. There "
        "is no pleural effusion or pneumothorax. No acute cardiopulmonary abnormality."
    )
    ids = model.tokenizer([report], return_tensors="pt")
    states = model.decoder(**ids, use_cache=False).last_hidden_state
    loss = torch.nn.functional.cross_entropy(
        model.head(states)[0, :-1], ids["input_ids"][0, 1:]
    ).detach()
    assert 1 < float(loss.exp()) < 100  # it reads English; random weights have some 49,152
    assert not hasattr(model.decoder.config, "quantization_config")
    model.decoder.config.save_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("smollm3", "unknown language model 'smollm3'"),
        ("local-dir:/nowhere", "does not exist"),
    ],
)
def test_an_unknown_name_or_folder_is_refused(source, said):
    with pytest.raises(InputError, match=said):
        load_language_model(source)


def test_a_folder_without_weights_or_with_two_ggufs_or_none_that_is_one_is_refused(
    language_folder, tmp_path
):
    shutil.copytree(language_folder, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be built"):
        load_language_model(f"local-dir:{tmp_path / 'm'}")
    (tmp_path / "m" / "a.gguf").write_bytes(b"no GGUF")
    with pytest.raises(InputError, match="cannot be built"):
        load_language_model(f"local-dir:{tmp_path / 'm'}")
    (tmp_path / "m" / "b.gguf").write_bytes(b"no GGUF")
    with pytest.raises(InputError, match=r"2 GGUF files \(a.gguf, b.gguf\)"):
        load_language_model(f"local-dir:{tmp_path / 'm'}")


def test_pickled_weights_are_never_read(language_folder, tmp_path):
    shutil.copytree(language_folder, tmp_path / "m")
    model = AutoModelForCausalLM.from_pretrained(language_folder)
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        load_language_model(f"local-dir:{tmp_path / 'm'}")


def test_another_checksum_of_the_packaged_file_is_refused(monkeypatch):
    monkeypatch.setattr("cxr_mtl.models.packaged_files.sha256_of_file", lambda path: "0" * 64)
    with pytest.raises(InputError, match="has the checksum 000000000000…, not b179c9523d0e…"):
        SMOLLM2.path(*SMOLLM2.sha256)


def test_a_model_of_another_form_is_refused(language_folder, tmp_path):
    shutil.copytree(language_folder, tmp_path / "m")
    config = T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=20)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path / "m")
    with pytest.raises(InputError, match="cannot be built"):
        load_language_model(f"local-dir:{tmp_path / 'm'}")
