# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   cxr_mtl:
#     needs: [studies.parquet, models.json, results/07_cost.json]
# ---

# %% [markdown]
# # Exercises: cost
#
# These belong to [the chapter on cost](../07_cost). Multiply-adds are those of the matrix products;
# $n$ is the number of tokens, $d$ their width, $h$ the number of heads, and a head is $d/h$ wide.

# %% tags=["hide-input"]
import math

import torch
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl.base import find_record, read_table
from cxr_mtl.bench import block_multiply_adds
from cxr_mtl.models import (
    features,
    load_recorded,
    single_query,
    token_layout,
)
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_equal,
    open_run,
)


def counted_flops(function, *arguments):
    with FlopCounterMode(display=False) as counter:
        function(*arguments)
    return counter.get_total_flops()


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(0, 1)


# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run

# %% [markdown]
# The lengths of this run's reports in tokens, and what the chapter measured:

# %%
check_parameters(globals())
run = open_run(run_dir)
backbone = load_recorded(run / "models.json", "fine_tuned_from")
texts = list(read_table(run / "studies.parquet")["text"])
ids, lengths = features.tokenise(backbone, texts)
context = ids.shape[1]
measured = run.results("07_cost")

# %% [markdown]
# ```{exercise} How large is the cache?
# :label: ex-07-store
#
# *Two minutes.* The cache holds the tokens that enter the last layer, one sequence after the other
# and without padding, and for each study the one token whose query is read, in float32. How many
# bytes is that?
#
# Write `store_bytes(lengths, width, bytes_per_value)`, where `lengths` are the numbers of tokens of
# all studies, [studies]. The check compares it with what the library allocates.
# ```

# %% [markdown]
# ```{solution-start} ex-07-store
# :class: dropdown
# ```


# %% tags=["solution"]
def store_bytes(lengths, width, bytes_per_value):
    """Bytes of the tokens, and of one float32 token per study."""
    ### BEGIN SOLUTION
    tokens = int(sum(lengths)) * width * bytes_per_value
    return tokens + len(lengths) * width * 4
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Four bytes for each number of each token that is there, and of one more token per study. The check prints
# the gigabytes for this run's reports at BiomedCLIP's width of 768. Padding makes the tokens as many times
# more as the context, here this run's, is longer than a report on average.


# %% tags=["check"]
for dtype, size in ((torch.float32, 4), (torch.bfloat16, 2)):
    for width in (64, 768):
        for some in (torch.tensor([3, 7, 5]), lengths):
            layout = token_layout.Layout(some, width, dtype)
            expect_equal(
                store_bytes(some, width, size),
                sum(layout.sizes.values()),
                f"bytes of {len(some)} reports, width {width}, {dtype}",
            )
padded = torch.full_like(lengths, context)
print(f"{len(lengths):,} reports, 768 wide, in float32:")
print(
    f"{store_bytes(lengths, 768, 4) / 1e9:.2f} GB, padded to the "
    f"context {store_bytes(padded, 768, 4) / 1e9:.2f} GB"
)
print("ex-07-store: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} When has the cache paid?
# :label: ex-07-break-even
#
# *Ten minutes.* The frozen prefix of all studies takes `prefix` seconds, once. Then an epoch on the
# cache takes `cached_epoch` seconds, and one without it `plain_epoch`. After how many epochs has the
# cache cost less than no cache?
#
# Write `break_even(prefix, cached_epoch, plain_epoch)`: the smallest such whole number, or `None` if
# there is none. Before you run the check, guess: does the cache pay in this run within one training,
# or only in a weight search?
# ```

# %% [markdown]
# ```{solution-start} ex-07-break-even
# :class: dropdown
# ```


# %% tags=["solution"]
def break_even(prefix, cached_epoch, plain_epoch):
    """Fewest epochs after which the cache cost less; None: never."""
    ### BEGIN SOLUTION
    saved = plain_epoch - cached_epoch
    return math.floor(prefix / saved) + 1 if saved > 0 else None
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# From $p + E c < E s$ follows $E > p / (s - c)$. At equality nothing is gained yet, so the whole
# number after it counts, even where the quotient is one itself. Where the check's last line names fewer
# epochs than a training has, the cache pays within one training.


# %% tags=["check"]
def by_trying(prefix, cached_epoch, plain_epoch):
    for epochs in range(1, 1000):
        if prefix + epochs * cached_epoch < epochs * plain_epoch:
            return epochs


for times in [
    (60, 1, 31),
    (59, 1, 31),
    (1, 2, 10),
    (100, 9, 10),
    (5, 3, 3),
    (5, 4, 3),
]:
    expect_equal(
        break_even(*times),
        by_trying(*times),
        f"epochs until the cache of {times} has paid, by trying",
    )


def measured_value(query):
    return find_record(measured, query)["value"]


epochs = measured_value("metric=trials")
epochs *= measured_value("metric=search_epochs")
minutes = measured_value("metric=search_minutes&path=plain open_clip")
prefix = measured_value("metric=frozen_prefix_seconds")
cached = max(
    (r for r in measured if r["metric"] == "epoch_seconds"),
    key=lambda r: r["studies"],
)["value"]
paid = break_even(prefix, cached, 60 * minutes / epochs)
print(f"in this run after epoch {paid}")
print("ex-07-break-even: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Count the multiply-adds
# :label: ex-07-multiply-adds
#
# *Ten minutes.* Attention projects queries, keys, values and, at its end, the output, each by a
# matrix of $d \times d$. Count its multiply-adds on one sequence, without the MLP that follows,
# (1) if every token is a query, (2) if one is, and (3) if one is and neither keys nor values are
# made.
#
# Write `attention_multiply_adds(n, d, h)`, which returns the three whole numbers. The check lets
# PyTorch count, and takes the library's count of a whole block.
# ```

# %% [markdown]
# ```{solution-start} ex-07-multiply-adds
# :class: dropdown
# ```


# %% tags=["solution"]
def attention_multiply_adds(n, d, h):
    """Multiply-adds: all tokens are queries; one; one, without keys."""
    ### BEGIN SOLUTION
    every_token = 4 * n * d**2 + 2 * n**2 * d
    one_query = 2 * n * d**2 + 2 * d**2 + 2 * n * d
    absorbed = 4 * d**2 + 2 * h * n * d
    return every_token, one_query, absorbed
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The heads do not change the first two counts: $h$ products with $d/h$ numbers each are $d$ numbers.
# In the third, every head reads the tokens in their full width $d$, and so $h$ appears. In exchange
# the matrices meet one vector each.


# %% tags=["check"]
def every_token(z, W, h):
    q, k, v = (heads_of(z @ w, h) for w in W[:3])
    o = ((q @ k.mT).softmax(-1) @ v).transpose(0, 1).flatten(1)
    return o @ W[3]


def one_query(z, W, h):
    q, k, v = (
        heads_of(x @ w, h)
        for x, w in zip((z[:1], z, z), W[:3], strict=True)
    )
    return ((q @ k.mT).softmax(-1) @ v).transpose(0, 1).flatten(1) @ W[
        3
    ]


def no_keys(z, W, h):
    q = heads_of(z[:1] @ W[0], h)
    a = (q @ heads_of(W[1], h).mT @ z.mT).softmax(-1)
    o = a @ z @ heads_of(W[2], h)
    return o.transpose(0, 1).flatten(1) @ W[3]


for n, d, h in [(197, 768, 12), (50, 64, 4), (7, 12, 1)]:
    z, W = (
        torch.empty(n, d, device="meta"),
        torch.empty(4, d, d).to("meta"),
    )
    counted = [
        counted_flops(function, z, W, h) // 2
        for function in (every_token, one_query, no_keys)
    ]
    expect_equal(
        attention_multiply_adds(n, d, h),
        counted,
        f"multiply-adds of n, d, h = {n, d, h}, by PyTorch",
    )
    mlp = 8 * d**2  # per query
    expect_equal(
        [counted[0] + n * mlp, counted[1] + mlp, counted[2] + mlp],
        list(block_multiply_adds(n, d, h).values()),
        "with an MLP, the library's counts of a whole block",
    )
print("ex-07-multiply-adds: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} How many queries until keys pay again?
# :label: ex-07-queries
#
# *Ten minutes.* A tower that is read at $m$ tokens needs $m$ queries in its last block. With keys
# and values each more query costs $2nd$ multiply-adds; without them it costs two products of a
# vector with a matrix and two readings of the tokens by each head.
#
# Write `most_queries(n, d, h)`: the largest $m$ for which doing without keys and values takes fewer
# multiply-adds. Leave out what both ways need, the projections of query and output. What does it
# tend to for long sequences?
# ```

# %% [markdown]
# ```{solution-start} ex-07-queries
# :class: dropdown
# ```


# %% tags=["solution"]
def most_queries(n, d, h):
    """Largest number of queries for which keys do not pay."""
    ### BEGIN SOLUTION
    # m (2d² + 2hnd) < 2nd² + m 2nd, divided by 2d
    return (n * d - 1) // (d + (h - 1) * n)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# For $n \to \infty$ the bound $nd / (d + (h-1)n)$ tends to $d/(h-1)$: a little more than the width
# of a head. That is the chapter's rule, about as many queries as a head is wide.


# %% tags=["check"]
def without_keys(m, n, d, h):
    return m * (2 * d**2 + 2 * h * n * d)


def with_keys(m, n, d, h):
    return 2 * n * d**2 + m * 2 * n * d


for size in [(197, 768, 12), (50, 64, 4), (256, 768, 12), (9, 8, 1)]:
    m = 0
    while without_keys(m + 1, *size) < with_keys(m + 1, *size):
        m += 1
    expect_equal(
        most_queries(*size),
        m,
        f"most queries for n, d, h = {size}, by adding one by one",
    )
m = most_queries(197, 768, 12)
print(f"BiomedCLIP's image tower: up to {m} queries")
print("ex-07-queries: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} All heads, one query, no key
# :label: ex-07-heads
#
# *Half an hour.* The chapter's ten lines have a single head. Write the same for several, as a loop
# over the heads. The rows of $W_K$ and $W_V$ that belong to a head follow each other, and so do the
# entries of the projected query.
#
# Write `gathered(q, z, W_K, W_V, b_V, heads)`: the projected query `q` [d], the tokens `z` [n, d], the
# two matrices [d, d], the bias of the values [d] and the number of heads -> what the heads gather,
# one after the other, [d]. The check compares values and gradients with PyTorch's attention, and sees
# whether you made keys.
# ```

# %% [markdown]
# ```{solution-start} ex-07-heads
# :class: dropdown
# ```


# %% tags=["solution"]
def gathered(q, z, W_K, W_V, b_V, heads):
    """What one query gathers by several heads, without keys."""
    ### BEGIN SOLUTION
    outputs = []
    for own in torch.arange(len(q)).chunk(heads):
        absorbed = W_K[own].T @ q[own] / len(own) ** 0.5
        a = (z @ absorbed).softmax(0)
        outputs.append(W_V[own] @ (a @ z) + b_V[own])
    return torch.cat(outputs)
    ### END SOLUTION


# %% tags=["check"]
def ordinarily(q, z, W_K, W_V, b_V, heads):
    split = [
        heads_of(x, heads)
        for x in (q[None], z @ W_K.T, z @ W_V.T + b_V)
    ]
    return F.scaled_dot_product_attention(*split).flatten()


generator = torch.Generator().manual_seed(0)
n, d = 30, 24
shapes = {"q": (d,), "z": (n, d), "W_K": (d, d), "W_V": (d, d)}
shapes["b_V"] = (d,)
for heads in (1, 2, 4):
    inputs = [
        torch.randn(s, generator=generator, dtype=torch.float64)
        / d**0.25
        for s in shapes.values()
    ]
    for tensor in inputs:
        tensor.requires_grad_()
    q, z, W_K, W_V, b_V = inputs
    ours = gathered(*inputs, heads)
    expected = ordinarily(*inputs, heads)
    library = single_query.attend(
        q[None], z[None], single_query.Projections(W_K, W_V, b_V, heads)
    )[0]
    for name, value in {
        "PyTorch": expected,
        "library": library,
    }.items():
        expect_close(ours, value, f"gathered by {heads} heads, {name}")
    expect_equal(ours.requires_grad, True, "does it have a gradient")
    weights = torch.randn(d, generator=generator, dtype=torch.float64)
    for name, ours_d, theirs in zip(
        shapes,
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        expect_close(
            ours_d, theirs, f"gradient of {name}, {heads} heads"
        )
    expect_between(
        counted_flops(gathered, *inputs, heads),
        0,
        n * d**2,
        "operations, half of what keys alone take",
    )
print("ex-07-heads: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Why a hundred times fewer operations are not a hundred times faster
# :label: ex-07-roofline
#
# *Half an hour.* A machine multiplies at no more than `peak` FLOP/s and moves no more than
# `bandwidth` B/s between its memory and its cores. A product that needs `flops` operations and moves
# `moved` bytes cannot be faster than either allows: this bound is called the *roofline*. One
# multiply-add is two FLOPs.
#
# Write `product_cost(batch, rows, inner, columns, bytes_per_value)`, which returns the FLOPs and the
# bytes of `batch` products [rows, inner] times [inner, columns], if every operand is read once and
# every result written once; and `floor_seconds(flops, moved, peak, bandwidth)`. The check applies
# them to the keys of BiomedCLIP's image tower, and to the scores of a single query without keys, on
# an NVIDIA A100 with 80 GB as specified: 312 TFLOP/s in bfloat16 and 2.0 TB/s.
# ```

# %% [markdown]
# ```{solution-start} ex-07-roofline
# :class: dropdown
# ```


# %% tags=["solution"]
def product_cost(batch, rows, inner, columns, bytes_per_value):
    """FLOPs and bytes moved by a batch of matrix products."""
    ### BEGIN SOLUTION
    values = rows * inner + inner * columns + rows * columns
    flops = 2 * batch * rows * inner * columns
    return flops, batch * values * bytes_per_value
    ### END SOLUTION


def floor_seconds(flops, moved, peak, bandwidth):
    """The least time in seconds that the roofline allows."""
    ### BEGIN SOLUTION
    return max(flops / peak, moved / bandwidth)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# FLOPs per byte are called the *arithmetic intensity*. The keys have an intensity in the hundreds
# and are bound by multiplying; the scores of a single query have about $h$ FLOPs per byte in bfloat16,
# whatever the batch, and are bound by reading the tokens. Faster still would only be to read less: a
# cache of fewer bits.

# %% tags=["check"]
for batch, rows, inner, columns in [(1, 3, 4, 5), (8, 12, 64, 50)]:
    a, b = (
        torch.ones(batch, rows, inner),
        torch.ones(batch, inner, columns),
    )
    expect_equal(
        product_cost(batch, rows, inner, columns, 4),
        (
            counted_flops(torch.bmm, a, b),
            a.nbytes + b.nbytes + torch.bmm(a, b).nbytes,
        ),
        f"FLOPs and bytes of {list(a.shape)} @ {list(b.shape)}",
    )
for moved, seconds in {1: 2, 4: 4}.items():
    expect_close(
        floor_seconds(6, moved, peak=3, bandwidth=1),
        seconds,
        f"seconds for 6 FLOPs and {moved} bytes at 3 and 1 a second",
    )

studies, n, d, h, bfloat16 = 128, 197, 768, 12, 2
a100 = {"peak": 312e12, "bandwidth": 2.0e12}
products = {
    "keys of all tokens": product_cost(1, studies * n, d, d, bfloat16),
    "scores without keys": product_cost(studies, h, d, n, bfloat16),
}
for name, (flops, moved) in products.items():
    seconds = floor_seconds(flops, moved, **a100)
    print(
        f"{name}: {flops / moved:.0f} FLOP/B, at least {1e6 * seconds:.0f} µs"
    )
(keys, keys_moved), (scores, scores_moved) = products.values()
faster = floor_seconds(keys, keys_moved, **a100) / floor_seconds(
    scores, scores_moved, **a100
)
print(f"{keys / scores:.0f} times fewer FLOPs,")
print(f"at best {faster:.0f} times faster")
print("ex-07-roofline: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Take the last block of a real model apart
# :label: ex-07-vit
#
# *An afternoon.* timm's `VisionTransformer` ends with a block in full, of which only the CLS token
# is used. Write its embedding with a last block of one query and no keys or values:
# `embed_by_one_query(vit, images)`, for a model that pools its CLS token, [batch, 3, height, width]
# -> [batch, d].
#
# Read timm's source: `forward_features` runs `patch_embed`, `_pos_embed`, `norm_pre`, `blocks` and
# `norm`; a block is `x + attn(norm1(x))`, then `x + mlp(norm2(x))`; and `attn.qkv` holds the three
# projections one below the other. The check compares values and all gradients with the whole model
# in float64, and counts operations.
# ```

# %% [markdown]
# ```{solution-start} ex-07-vit
# :class: dropdown
# ```


# %% tags=["solution"]
def embed_by_one_query(vit, images):
    """Embedding of a ViT that pools its CLS token, by one query."""
    ### BEGIN SOLUTION
    x = vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))
    x = vit.blocks[:-1](x)
    last = vit.blocks[-1]
    attn, z = last.attn, last.norm1(x)

    W_Q, W_K, W_V = attn.qkv.weight.chunk(3)
    b_Q, _, b_V = attn.qkv.bias.chunk(3)
    W_K, W_V, b_V = (
        w.unflatten(0, (attn.num_heads, -1)) for w in (W_K, W_V, b_V)
    )
    q = F.linear(z[:, 0], W_Q, b_Q).unflatten(-1, (attn.num_heads, -1))
    absorbed = torch.einsum("bhk,hkd->bhd", q * attn.scale, W_K)
    a = (absorbed @ z.mT).softmax(-1)
    o = torch.einsum("bhd,hkd->bhk", a @ z, W_V) + b_V

    cls = x[:, 0] + attn.proj(o.flatten(1))
    return vit.norm(cls + last.mlp(last.norm2(cls)))
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The bias of the keys, the middle third of `attn.qkv.bias`, is not used. Its gradient is 0, and in the
# whole model it is 0 up to rounding: AdamW divides a gradient by its own size, and so lets this
# rounding move the bias. No output depends on it.

# %% tags=["check"]
torch.manual_seed(0)
sizes = {"img_size": 32, "patch_size": 4, "embed_dim": 48}
sizes |= {"num_heads": 4, "num_classes": 0, "pre_norm": True}
vit, shorter = (
    VisionTransformer(depth=depth, **sizes).double() for depth in (3, 2)
)
with torch.no_grad():
    for (
        parameter
    ) in vit.parameters():  # timm starts biases at 0, norms at 1
        parameter += 0.1 * torch.randn_like(parameter)
images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
ours, whole = embed_by_one_query(vit, images), vit(images)
expect_close(ours, whole, "embeddings, by the whole model")

expect_equal(ours.requires_grad, True, "do they have a gradient")
weights, parameters = (
    torch.randn_like(whole),
    dict(vit.named_parameters()),
)
for name, ours_d, theirs in zip(
    parameters,
    torch.autograd.grad(
        (ours * weights).sum(), list(parameters.values())
    ),
    torch.autograd.grad(
        (whole * weights).sum(), list(parameters.values())
    ),
    strict=True,
):
    expect_close(ours_d, theirs, f"gradient of {name}", rtol=1e-4)
last = counted_flops(embed_by_one_query, vit, images)
last -= counted_flops(shorter, images)
expect_between(
    last,
    0,
    len(images) * 65 * 48**2,
    "operations of the last block, half of what keys alone take",
)
print(f"values and {len(parameters)} gradients agree")
print("ex-07-vit: passed")

# %% [markdown]
# ```{solution-end}
# ```
