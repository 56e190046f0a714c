"""What a step of the last layer costs: counts against PyTorch's, the paths against each other."""

from types import SimpleNamespace

import pytest
import torch
from timm.models.vision_transformer import Block
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl.bench.costs import (
    PLAIN,
    SINGLE_QUERY,
    WHOLE_BLOCKS,
    Setting,
    StepCost,
    block_multiply_adds,
    product_table,
    run_ordinarily,
    step_costs,
    step_records,
    step_table,
    study_batch,
    time_step,
    training_steps,
)
from cxr_mtl.bench.exactness import keep_tokens
from cxr_mtl.bench.timing import Timing
from cxr_mtl.models.last_layer import LastLayer, tower_kinds, trainable_names
from cxr_mtl.models.single_query import Projections, attend

TOKENS, WIDTH, HEADS = 10, 24, 3
SETTING = Setting(1, "float32", "float32", plain_repeats=1, fast_repeats=2, device="cpu")


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


def test_the_products_are_shown_with_how_many_times_fewer_they_are():
    products = block_multiply_adds(TOKENS, WIDTH, HEADS)
    shown = product_table(TOKENS, WIDTH, HEADS).data
    assert shown["multiply-adds"].to_dict() == products
    fewer = products["every token is a query"] / products["one query"]
    assert shown["times fewer"].tolist()[:2] == pytest.approx([1, fewer])


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
    assert list(steps) == [PLAIN, WHOLE_BLOCKS, SINGLE_QUERY]
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


@pytest.mark.parametrize(
    ("path", "unfrozen_blocks", "timed", "calls"),
    [
        (PLAIN, 1, 4, 5),
        (WHOLE_BLOCKS, 0, 4, 5),
        (SINGLE_QUERY, 0, 7, 10),
        (SINGLE_QUERY, 1, 7, 10),
        (SINGLE_QUERY, 2, 4, 5),
    ],
)
def test_what_runs_no_whole_block_is_timed_more_often(path, unfrozen_blocks, timed, calls):
    setting = Setting(1, "float32", "float32", plain_repeats=4, fast_repeats=7, device="cpu")
    called = []
    timing = time_step(lambda: called.append(1), path, unfrozen_blocks, setting)
    assert (timing.repeats, len(called)) == (timed, calls)


@pytest.fixture
def measured(backbone, studies):
    """The costs of six studies, the rows read from their cache, and the model's weights before."""
    model, batch = backbone.model, study_batch(backbone, studies.head(6))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images, texts = keep_tokens(model, LastLayer(model, 1), batch)
    read = []
    features = SimpleNamespace(
        images=SimpleNamespace(batch=lambda rows: read.append(rows) or images),
        texts=SimpleNamespace(batch=lambda rows: texts),
    )
    return step_costs(model, batch, features, torch.arange(6), SETTING), read, before


def test_each_path_needs_fewer_operations_than_the_one_before(measured):
    costs, _, _ = measured
    assert list(costs) == [PLAIN, WHOLE_BLOCKS, SINGLE_QUERY]
    assert [cost.time.repeats for cost in costs.values()] == [1, 1, 2]
    plain, whole_blocks, single_query = (cost.operations for cost in costs.values())
    assert plain > whole_blocks > single_query > 0


def test_every_step_of_the_fast_path_reads_its_rows_from_the_cache(measured):
    _, read, _ = measured
    assert len(read) == 3 + SETTING.fast_repeats + 1  # warming up, timed, counted
    assert all(torch.equal(rows, torch.arange(6)) for rows in read)


def test_measuring_leaves_the_model_as_it_was(measured, backbone):
    _, _, before = measured
    after = backbone.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


COSTS = {
    PLAIN: StepCost(Timing(2.0, 1.5, 4.0, 3), 6_000),
    SINGLE_QUERY: StepCost(Timing(0.05, 0.04, 0.06, 15), 500),
}


def test_records_hold_seconds_with_their_extremes_and_both_ratios_to_plain_open_clip():
    assert step_records(COSTS) == [
        {"metric": "step_seconds", "path": PLAIN, "low": 1.5, "high": 4.0, "value": 2.0},
        {"metric": "times_faster", "path": PLAIN, "value": 1.0},
        {"metric": "times_fewer_operations", "path": PLAIN, "value": 1.0},
        {"metric": "step_seconds", "path": SINGLE_QUERY, "low": 0.04, "high": 0.06, "value": 0.05},
        {"metric": "times_faster", "path": SINGLE_QUERY, "value": 40.0},
        {"metric": "times_fewer_operations", "path": SINGLE_QUERY, "value": 12.0},
    ]


def test_costs_are_shown_in_words_with_units():
    shown = step_table(COSTS, pairs=10)
    assert list(shown.index) == [PLAIN, SINGLE_QUERY]
    assert shown.loc[SINGLE_QUERY].to_dict() == {
        "median of a step": "50 ms",
        "from – to": "40 ms – 60 ms",
        "per pair": "5 ms",
        "times faster": "40.0",
        "operations": "500 FLOP",
        "times fewer": "12.0",
    }
