"""What the last layer costs: counts against PyTorch's, the paths against each other, the files."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import Block
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl import bench
from cxr_mtl.bench_exactness import keep_tokens
from cxr_mtl.costs import (
    block_multiply_adds,
    measurement_frame,
    measurement_notes,
    read_benchmarks,
    relative_differences,
    run_ordinarily,
    study_batch,
    training_steps,
)
from cxr_mtl.errors import InputError
from cxr_mtl.last_layer import LastLayer, tower_kinds, trainable_names
from cxr_mtl.single_query import Projections, attend
from cxr_mtl.timing import Measurement, Rates, Timing, compared

TOKENS, WIDTH, HEADS = 10, 24, 3


def counted(work):
    """Multiply-adds of the matrix products in `work`, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() // 2


@pytest.fixture
def block():
    block = Block(WIDTH, HEADS, qkv_bias=True).eval()
    block.attn.fused_attn = False  # its products are then counted one by one
    return block


def test_a_blocks_products_are_those_that_pytorch_counts(block):
    tokens = torch.randn(1, TOKENS, WIDTH)
    expected = block_multiply_adds(TOKENS, WIDTH, HEADS)["every token is a query"]
    assert counted(lambda: block(tokens)) == expected


def test_with_one_query_keys_and_values_are_most_of_the_products(block):
    tokens = torch.randn(1, TOKENS, WIDTH)
    query_weight, key, value = block.attn.qkv.weight.chunk(3)

    def one_query():
        query, keys, values = tokens[:, :1] @ query_weight.T, tokens @ key.T, tokens @ value.T
        query, keys, values = (x.unflatten(-1, (HEADS, -1)) for x in (query, keys, values))
        query, keys, values = (x.transpose(1, 2) for x in (query, keys, values))
        context = ((query @ keys.mT).softmax(-1) @ values).flatten(1)
        block.mlp(block.attn.proj(context))

    expected = block_multiply_adds(TOKENS, WIDTH, HEADS)["one query"]
    assert counted(one_query) == expected
    keys_and_values = 2 * TOKENS * WIDTH**2
    assert keys_and_values > expected / 2


def test_without_keys_and_values_the_products_are_those_of_attend(block):
    tokens = torch.randn(1, TOKENS, WIDTH)
    query_weight, key, value = block.attn.qkv.weight.chunk(3)

    def absorbed():
        projections = Projections(key, value, None, HEADS)
        context = attend(tokens[:, 0] @ query_weight.T, tokens, projections)
        block.mlp(block.attn.proj(context))

    expected = block_multiply_adds(TOKENS, WIDTH, HEADS)["one query, no keys or values"]
    assert counted(absorbed) == expected


@pytest.mark.parametrize("unfrozen_blocks", [0, 1, 2])
def test_blocks_run_ordinarily_give_the_embeddings_of_both_other_paths(
    backbone, studies, unfrozen_blocks
):
    model, batch = backbone.model, study_batch(backbone, studies.head(5))
    end = LastLayer(model, unfrozen_blocks)
    image, text = tower_kinds(model)
    whole = torch.full((5,), 50)
    with torch.no_grad():
        ours = (
            run_ordinarily(end.image, image.entering(model, batch.images, unfrozen_blocks), whole),
            run_ordinarily(
                end.text, text.entering(model, batch.ids, unfrozen_blocks), batch.lengths
            ),
        )
        fast = end(*keep_tokens(model, end, batch))
        plain = model.encode_image(batch.images), model.encode_text(batch.ids)
    for found, by_cache, by_open_clip in zip(ours, fast, plain, strict=True):
        torch.testing.assert_close(found, by_cache)
        torch.testing.assert_close(found, by_open_clip)


def test_every_path_trains_the_same_tensors(backbone, studies):
    model, batch = backbone.model, study_batch(backbone, studies.head(6))
    kept = keep_tokens(model, LastLayer(model, 1), batch)
    steps = training_steps(model, batch, lambda: kept, 1, "float32", "cpu")
    assert len(steps) == 3
    for path, step in steps.items():
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        step()
        after = model.state_dict()
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed == set(trainable_names(model, 1)), path


def test_a_batch_of_studies_is_in_their_order(backbone, studies):
    chosen = studies.iloc[[3, 1]]
    batch = study_batch(backbone, chosen)
    assert batch.labels.tolist() == chosen["label"].tolist()
    assert batch.images.shape == (2, 3, 112, 112)
    assert torch.equal(batch.ids, backbone.tokenize(list(chosen["text"])))
    assert torch.equal(batch.lengths, (batch.ids != 0).sum(1))


def test_a_difference_is_relative_to_its_own_row():
    theirs = np.array([[3.0, 4.0], [0.3, 0.4]])
    ours = np.array([[3.0, 4.5], [0.3, 0.5]])
    assert relative_differences(ours, theirs) == pytest.approx([0.1, 0.2])


MEASURED = [
    compared("train", "plain", "step", Timing(0.5, 0.4, 0.75, 5)),
    compared("train", "peak", "memory", 3e9, "B", note="mapped files left out"),
]


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Benchmarks of training on a CPU, and of a quick size that is not to be shown."""
    monkeypatch.setattr(bench, "measure_rates", lambda device: Rates(4.0, 3.0, 2.0, 1.0))
    for size in ("quick", "full"):
        kept = bench.document(MEASURED, size, "cpu", 0.0)
        kept["machine"] |= {"cpu": "Toy 1", "cores": 3, "gpu": "Toy 2"}
        kept |= {"date": "2026-01-02", "versions": {"python": "3.0", "numpy": "9", "torch": "4"}}
        (tmp_path / f"train-cpu-{size}.json").write_text(json.dumps(kept))
    return tmp_path


def test_a_kept_benchmark_gives_its_measurements_back_with_their_origin(folder):
    (kept,) = read_benchmarks(folder, "train")
    assert list(map(asdict, kept.measurements)) == list(map(asdict, MEASURED))
    assert (
        kept.origin == "Measured on 2026-01-02 on a CPU (Toy 1, 3 cores) with Python 3.0, torch 4."
    )


def test_a_run_on_a_gpu_is_named_after_the_gpu_and_comes_second(folder):
    kept = json.loads((folder / "train-cpu-full.json").read_text()) | {"device": "cuda"}
    (folder / "train-cuda-full.json").write_text(json.dumps(kept))
    by_cpu, by_gpu = read_benchmarks(folder, "train")
    assert (by_cpu.device, by_gpu.device) == ("cpu", "cuda")
    assert "on a GPU (Toy 2) with Python 3.0" in by_gpu.origin


def test_measurements_are_shown_in_words_without_empty_columns():
    slow, memory = MEASURED
    fast = compared("train", "fast", "step", Timing(0.05, 0.04, 0.06, 5), baseline=slow)
    skipped = Measurement("train", "huge", "step", None, "s")
    shown = measurement_frame([memory, slow, fast, skipped])
    assert shown.loc[3].to_dict() == {
        "case": "fast",
        "measured": "step",
        "value": "50 ms",
        "from – to": "40 ms – 60 ms",
        "times better": "10 × row 2",
    }
    assert list(shown["value"]) == ["3 GB", "500 ms", "50 ms", "skipped"]
    rate = compared("features", "images", "rate", 2e9, "FLOP/s", floor=5e9)
    assert measurement_frame([rate])["floor is better"].tolist() == ["2.5 ×"]


def test_a_note_names_the_rows_it_is_about():
    slow, memory = MEASURED
    found = measurement_notes([memory, slow, memory])
    assert found == ["Rows 1, 3: mapped files left out."]
    several = measurement_notes([memory, memory, memory, slow, memory])
    assert several[0] == "Rows 1 to 3, 5: mapped files left out."
    assert measurement_notes([memory, memory]) == ["All rows: mapped files left out."]


def test_a_benchmark_that_was_not_run_is_none(folder):
    assert read_benchmarks(folder, "search") == []


def test_a_wrong_folder_and_a_file_of_something_else_are_named(folder):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        read_benchmarks(folder / "nowhere", "train")
    (folder / "search-cpu-full.json").write_text("{}")
    with pytest.raises(InputError, match=r"search-cpu-full\.json is not a benchmark's file"):
        read_benchmarks(folder, "search")
