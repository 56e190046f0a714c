"""A weights file from anywhere is read as tensors, or told for what it is; nothing in it is run."""

import io
import json
import os
import pickle
import re
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.weights_file import ENDINGS, check_weights

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 783680652\n"
HTML = b"\n <!DOCTYPE html>\n<html><body>Too many requests</body></html>"


def saved(held) -> bytes:
    file = io.BytesIO()
    torch.save(held, file)
    return file.getvalue()


def safetensors(header, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: list[int], start: int, end: int) -> dict:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def bomb() -> bytes:
    """A checkpoint whose tensor of 64 MiB of zeros is compressed, as PyTorch never writes it."""
    with zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(1 << 24)}))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(members, zipfile.ZIP_DEFLATED)


def scripted() -> bytes:
    """What tells a TorchScript archive, as OpenAI's CLIP comes, from a checkpoint."""
    return zipped({"x/data.pkl": b"", "x/constants.pkl": b"", "x/code/__torch__.py": b""})


def run_me(*_):
    raise AssertionError("code of the file was run")


class Payload:
    def __reduce__(self):
        return run_me, ("x",)


WHOLE = safetensors({"a": tensor([4], 0, 16)}, bytes(16))
ZIP = saved(TENSORS)
OVER = "is cut short or no safetensors file (its header would take"
DAMAGED = "is a truncated or damaged safetensors file ("
BAD = {
    "pointer": ("w.safetensors", POINTER, "is a Git LFS pointer to a file of 783,680,652 bytes, "),
    "pointer as bin": ("w.bin", POINTER, "is a Git LFS pointer to a file of"),
    "HTML": ("w.safetensors", HTML, "is a page of HTML that a server sent in the file's place: "),
    "HTML as pt": ("w.pt", HTML, "is a page of HTML"),
    "XML": ("w.bin", b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a page of HTML"),
    "JSON": ("w.safetensors", b'{"error": "Entry not found"}', "is JSON, not weights: copy or"),
    "empty": ("w.safetensors", b"", "is empty: replace it by the model's file"),
    "empty bin": ("w.bin", b"", "is empty"),
    "gzip": ("w.bin", b"\x1f\x8b\x08" + bytes(99), "is a gzip archive, not a file of weights"),
    "Keras": ("w.bin", b"\x89HDF\r\n\x1a\n" + bytes(99), "is a Keras file (HDF5), not a file of"),
    "NumPy": ("w.bin", b"\x93NUMPY\x01\x00" + bytes(99), "is a NumPy array, not a file of weights"),
    "cut": ("w.safetensors", WHOLE[:-1], DAMAGED),
    "longer": ("w.safetensors", WHOLE + b"x", DAMAGED),
    "cut in the header": ("w.safetensors", WHOLE[:30], OVER),
    "cut in the length": ("w.safetensors", WHOLE[:5], OVER),
    "header of 2^60": ("w.safetensors", safetensors({}, length=1 << 60), OVER),
    "header of 2^64 - 1": ("w.safetensors", safetensors({}, length=(1 << 64) - 1), OVER),
    "negative": ("w.safetensors", safetensors({"a": tensor([4], -4, 16)}, bytes(16)), DAMAGED),
    "beyond": ("w.safetensors", safetensors({"a": tensor([4], 1 << 40, 1 << 41)}), DAMAGED),
    "overlap": (
        "w.safetensors",
        safetensors({"a": tensor([4], 0, 16), "b": tensor([4], 0, 16)}, bytes(16)),
        DAMAGED,
    ),
    "shape of 2^80": (
        "w.safetensors",
        safetensors({"a": tensor([1 << 40, 1 << 40], 0, 16)}, bytes(16)),
        DAMAGED,
    ),
    "no tensor": ("w.safetensors", safetensors({}), "holds no tensor"),
    "list": ("w.safetensors", safetensors([]), DAMAGED),
    "noise": ("w.safetensors", np.random.default_rng(0).bytes(999), OVER),
    "PyTorch as safetensors": ("w.safetensors", ZIP, "is a PyTorch file: give it the ending .bin"),
    "safetensors as bin": ("w.bin", WHOLE, "is a safetensors file: give it the ending .safetens"),
    "cut zip": ("w.bin", ZIP[:-100], "is cut short or damaged ("),
    "zip of text": ("w.pt", zipped({"readme.txt": b"x"}), "is a zip archive, but none of PyTorch"),
    "bomb": ("w.pt", bomb(), "would unpack to more than its own size"),
    "TorchScript": ("w.pt", scripted(), "is a TorchScript archive, which holds code and is not"),
    "noise as bin": ("w.bin", np.random.default_rng(0).bytes(999), "is damaged or no PyTorch file"),
    "cut old pickle": ("w.bin", b"\x80\x02}q\x00(X", "is no whole PyTorch file ("),
    "code": ("w.bin", saved({"a": Payload()}), "holds more than tensors ("),
    "code in an old pickle": ("w.bin", pickle.dumps(Payload(), 2), "holds more than tensors (test"),
    "a new pickle": (
        "w.bin",
        pickle.dumps(TENSORS),
        "is damaged or no PyTorch file and is not unp",
    ),
    "whole module": ("w.pt", saved(torch.nn.Linear(2, 2)), "holds more than tensors (torch.nn."),
    "list of tensors": ("w.pt", saved([torch.ones(2)]), "holds list, no tensors by their names"),
    "one tensor": ("w.pt", saved(torch.ones(2)), "holds Tensor, no tensors by their names"),
    "nothing": ("w.pt", saved({}), "holds dict, no tensors by their names"),
    "another trainer's": (
        "w.pt",
        saved({"model": TENSORS, "step": 3}),
        "holds model, step, which are no tensors by their names",
    ),
    "numbers for names": ("w.pt", saved({1: torch.ones(2)}), "holds 1, which are no tensors by"),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
@pytest.mark.parametrize(("name", "content", "said"), BAD.values(), ids=BAD)
def test_what_is_no_file_of_tensors_is_told_for_what_it_is(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        check_weights(path)
    assert str(error.value).startswith(f"{path} {said}")
    assert ": " in str(error.value).removeprefix(str(path))


def test_no_size_in_a_header_is_believed(tmp_path):
    """Nothing asks for as much memory as a bad header claims: it is told with 1 GiB to spare."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), hard))
    try:
        for label in ("header of 2^60", "header of 2^64 - 1", "beyond", "shape of 2^80", "bomb"):
            name, content, said = BAD[label]
            (tmp_path / name).write_bytes(content)
            with pytest.raises(InputError, match=re.escape(said)):
                check_weights(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


GOOD: dict[str, Callable[[Path], None]] = {
    ".safetensors": lambda path: save_file(TENSORS, path),
    ".bin": lambda path: torch.save(TENSORS, path),
    ".pth": lambda path: torch.save(TENSORS, path, _use_new_zipfile_serialization=False),
    ".pt": lambda path: torch.save({"epoch": 3, "name": "x", "state_dict": TENSORS}, path),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_tensors_are_found_by_their_names(tmp_path, ending):
    GOOD[ending](tmp_path / f"w{ending}")
    assert sorted(check_weights(tmp_path / f"w{ending}")) == ["a", "b"]


def test_a_file_that_may_not_be_read_is_told(read_only_folder):
    with pytest.raises(
        InputError, match=r"closed\.json cannot be read \(Permission denied\): give"
    ):
        check_weights(read_only_folder / "closed.json")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "w.bin")
    with pytest.raises(InputError, match="is a named pipe"):
        check_weights(tmp_path / "w.bin")


@pytest.fixture
def model(untrained_folder, tmp_path):
    """A model folder without weights, and the weights that belong to it."""
    for path in untrained_folder.iterdir():
        if path.suffix == ".json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path, load_file(untrained_folder / "open_clip_model.safetensors")


def test_a_checkpoint_of_open_clips_training_is_the_model_it_was_saved_from(
    model, untrained_folder, backbone
):
    folder, weights = model
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    checkpoint = {  # as open_clip_train.main saves it, of a model in DistributedDataParallel
        "epoch": 20,
        "name": "2026_01_01-model_x-lr_0.0005",
        "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()},
        "optimizer": optimizer.state_dict(),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
    }
    torch.save(checkpoint, folder / "epoch_20.pt")
    loaded = load_backbone(f"local-dir:{folder}")
    assert loaded.key == backbone.key
    tokens = backbone.tokenize(["clear lungs", "large effusion"])
    with torch.inference_mode():
        texts = loaded.model.encode_text(tokens)
        assert torch.equal(texts, backbone.model.encode_text(tokens))
        pixels = torch.rand(2, 3, 112, 112)
        assert torch.equal(loaded.model.encode_image(pixels), backbone.model.encode_image(pixels))


@pytest.mark.parametrize("ending", ["safetensors", "bin", "pth"])
def test_weights_by_any_other_ending_are_the_same_model(model, backbone, ending):
    folder, weights = model
    path = folder / f"weights.{ending}"
    save_file(weights, path) if ending == "safetensors" else torch.save(weights, path)
    assert load_backbone(f"local-dir:{folder}").key == backbone.key


def without(weights, name):
    return {key: value for key, value in weights.items() if key != name}


PROJECTION = "visual.head.proj.weight"
MISFITS = {
    "another shape": (
        lambda w: w | {PROJECTION: torch.zeros(3, 3), "text.proj.0.weight": torch.zeros(1)},
        r"visual\.head\.proj\.weight has the shape \[3, 3\], not \[128, 64\] and 1 more",
    ),
    "a tensor missing": (
        lambda w: without(w, PROJECTION),
        rf"they lack {PROJECTION}: bring the two that belong together",
    ),
    "a tensor more": (
        lambda w: w | {"text.more": torch.zeros(1)},
        r"they have, and the model has not, text\.more: bring",
    ),
    "another architecture": (
        lambda w: {f"other.{name}": value for name, value in w.items()},
        r"they lack \S+ and \d+ more, they have, and the model has not, other\.\S+ and \d+ more",
    ),
    "transformers": (
        lambda w: {f"vision_model.{name}": value for name, value in w.items()},
        "their names are those of Hugging Face transformers: bring",
    ),
}


@pytest.mark.parametrize(("change", "said"), MISFITS.values(), ids=MISFITS)
def test_weights_that_do_not_fit_are_told_by_the_tensor(model, change, said):
    folder, weights = model
    save_file(change(weights), folder / "w.safetensors")
    with pytest.raises(InputError, match=rf"w\.safetensors do not fit open_clip_config.*{said}"):
        load_backbone(f"local-dir:{folder}")
