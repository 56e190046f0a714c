"""A model folder is used as it stands, or the piece that is wrong is named with its remedy."""

import json
import os
import shutil

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.model_folder import text_tower_of, weights_in
from tests.models.edited_model import CONFIG, changed


@pytest.fixture
def folder(untrained_folder, tmp_path):
    return shutil.copytree(untrained_folder, tmp_path / "model")


def refused(folder, said):
    with pytest.raises(InputError) as error:
        load_backbone(f"local-dir:{folder}")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", ["{}/", " {} ", "{}//", "{}/../model"])
def test_a_folder_is_found_however_it_is_written(folder, backbone, form):
    assert load_backbone(f"local-dir:{form.format(folder)}").key == backbone.key


def test_a_relative_folder_and_the_users_home_are_found(folder, backbone, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert load_backbone("local-dir:model").key == backbone.key
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_backbone("local-dir:~/model").key == backbone.key


def test_a_folder_that_is_none_is_told(folder):
    refused(folder / CONFIG, f"is a file: name the folder that holds it, local-dir:{folder}")
    refused(folder / "none", "none does not exist: correct its path")
    refused("  ", "local-dir: names no folder: write local-dir:FOLDER")


def test_a_folder_without_configuration_is_told_what_it_is(folder):
    (folder / CONFIG).rename(folder.parent / CONFIG)
    refused(folder, f"{folder} lacks {CONFIG}: a model folder holds {CONFIG} and one file of weig")
    (folder / "open_clip_model.safetensors").rename(folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "clip", "architectures": ["CLIPModel"]}')
    refused(folder, "its config.json is that of a Hugging Face transformers model (clip), so fetch")
    (folder / "snapshots/1a2b").mkdir(parents=True)
    shutil.copy(folder.parent / CONFIG, folder / "snapshots/1a2b")
    refused(folder, f"lacks {CONFIG}: {folder}/snapshots/1a2b has one, so name that folder")


def test_more_than_one_file_of_weights_is_not_chosen_from(folder):
    for number in (1, 20):
        (folder / f"epoch_{number}.pt").write_bytes(b"x")
    names = "epoch_1.pt, epoch_20.pt, open_clip_model.safetensors"
    refused(folder, f"{folder} holds 3 files of weights ({names}): keep one there")


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("model.onnx", "ONNX"),
        ("tf_model.h5", "Keras"),
        ("model.ckpt.index", "TensorFlow"),
        ("flax_model.msgpack", "Flax"),
    ],
)
def test_weights_of_another_program_are_named(folder, name, program):
    (folder / "open_clip_model.safetensors").rename(folder / name)
    with pytest.raises(InputError) as error:
        weights_in(folder)
    assert str(error.value) == (
        f"{folder} holds no weights, {name} is of {program}: add open_clip_model.safetensors"
    )


CONFIGS = {
    "a list": (b"[1]", "is damaged (Input should be"),
    "null": (b"null", "is damaged (Input should be"),
    "no model": (b'{"model": {}}', "is damaged at model_cfg (Field required)"),
    "a text for a model": (b'{"model_cfg": "ViT-B-32"}', "is damaged at model_cfg (Input should"),
    "no towers": (b'{"model_cfg": {"embed_dim": 5}}', "is damaged at model_cfg.vision_cfg (Field"),
    "NaN": (b'{"model_cfg": NaN}', "is not valid JSON (NaN is no number)"),
    "nested": (b"[" * 100_000, "is not valid JSON (it is nested too deeply)"),
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\nsize 562\n",
        "is a Git LFS pointer",
    ),
    "a page": (b"<!doctype html><html></html>", "is a page of HTML"),
    "empty": (b"", "is empty"),
    "not UTF-8": (b"\xff\xfe{}", "is not valid JSON ("),
}


@pytest.mark.parametrize(("content", "said"), CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_of_another_kind_is_told(folder, content, said):
    (folder / CONFIG).write_bytes(content)
    refused(folder, f"{folder / CONFIG} {said}")


def test_a_configuration_nested_as_deep_as_json_is_read_is_no_trouble(folder):
    config = json.loads((folder / "config.json").read_text()) | {"x": "NEST"}
    (folder / "config.json").write_text(json.dumps(config).replace('"NEST"', "[" * 900 + "]" * 900))
    assert text_tower_of(folder)


BUILDS = {
    "an unknown tower": lambda c: c["model_cfg"]["vision_cfg"].update(timm_model_name="no_such"),
    "an unknown word": lambda c: c["model_cfg"].update(colour="red"),
    "a negative number": lambda c: c["model_cfg"].update(embed_dim=-3),
    "a text for a size": lambda c: c["model_cfg"]["vision_cfg"].update(image_size="big"),
}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (
            lambda c: c["model_cfg"]["text_cfg"].update(context_length=[1]),
            "text_cfg.context_length",
        ),
        (lambda c: c.update(preprocess_cfg={"mean": "grey"}), "preprocess_cfg.mean"),
        (lambda c: c.update(preprocess_cfg={"mean": [0.5]}), "preprocess_cfg.mean"),
        (lambda c: c.update(preprocess_cfg={"std": [1, 0, 1]}), "preprocess_cfg.std.1"),
    ],
)
def test_a_value_of_another_kind_is_told_with_its_place(folder, change, place):
    changed(folder / CONFIG, change)
    refused(folder, f"{place} (")


@pytest.mark.parametrize("change", BUILDS.values(), ids=BUILDS)
def test_a_configuration_that_nothing_can_be_built_from_is_told(folder, change):
    changed(folder / CONFIG, change)
    refused(folder, "correct them, or bring those that belong to the weights")


def test_no_size_in_a_configuration_is_believed(folder):
    changed(folder / CONFIG, lambda c: c["model_cfg"].update(embed_dim=1 << 22))
    refused(folder, "open_clip_config.json describes a model of")


@pytest.mark.parametrize("count", [10**6, 10**12])
def test_layers_without_end_are_not_built(folder, count):
    changed(folder / "config.json", lambda c: c.update(num_hidden_layers=count))
    refused(folder, f"config.json names {count:,} num_hidden_layers for weights of")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_piece_of_the_text_tower_is_told(folder, name):
    (folder / name).write_text('{"half": ')
    refused(folder, str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_pointer_in_the_place_of_a_piece_is_told(folder, name):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\nsize 7\n")
    refused(folder, f"{name} is a Git LFS pointer to a file of 7 bytes, not that file: run `git l")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", lambda c: c.update(auto_map={"AutoModel": "evil.Model"})),
        ("tokenizer_config.json", lambda c: c.update(auto_map={"AutoTokenizer": ["evil.T", None]})),
        (
            CONFIG,
            lambda c: c["model_cfg"]["text_cfg"].update(
                tokenizer_kwargs={"trust_remote_code": True}
            ),
        ),
    ],
)
def test_code_that_comes_with_a_model_is_not_run(folder, name, change):
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    changed(folder / name, change)
    refused(
        folder, "to run code that comes with the model, which is not done: take a model without"
    )


def test_what_is_no_file_is_not_waited_for(folder):
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(InputError, match="lacks the tokenizer"):
        text_tower_of(folder)
