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
# ---

# %% [markdown]
# # Exercises: the model and its losses
#
# These go with [the chapter on the model](../02_model). They need no trained model: the embeddings are
# random, or drawn by hand so that the right answer is visible. $v_i$ and $t_i$ are the embeddings of image
# and report $i$ of a batch of $N$, and $\tau$ is the temperature.

# %% tags=["hide-input"]
import math

import torch
from torch import nn
from torch.nn.functional import normalize, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_equal,
    expect_numbers,
)
from cxr_mtl.training import (
    classification_loss,
    clip_loss,
    supervised_contrastive_loss,
)

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice

# %%
check_parameters(globals())
random = torch.Generator().manual_seed(seed)


def some_vectors(*shape):
    """Random numbers in double precision, so that equal means equal."""
    return torch.randn(*shape, generator=random, dtype=torch.float64)


# %% [markdown]
# ```{exercise} What the losses say of a model that knows nothing
# :label: ex-02-nothing
#
# *Two minutes.* All embeddings are equal, and the classification head always answers 0. The batch has
# `n` studies, half of them normal. What are the three losses?
#
# Write `losses_of_nothing(n)`: a dict with the keys `"bce"`, `"supcon"` and `"clip"`. The check compares
# it with the library's losses of equal embeddings.
# ```

# %% [markdown]
# ```{solution-start} ex-02-nothing
# :class: dropdown
# ```


# %% tags=["solution"]
def losses_of_nothing(n):
    """The three losses where embeddings are equal and logits are 0."""
    ### BEGIN SOLUTION
    return {
        "bce": math.log(2),
        "supcon": math.log(n - 1),
        "clip": math.log(n),
    }
    ### END SOLUTION


losses_of_nothing(128)

# %% [markdown] tags=["solution"]
# BCE asks a question with two answers. CLIP picks one report of $n$. SupCon picks one study of the
# $n - 1$ others; how many of them are right does not matter, since each right one is asked for by itself
# and the losses are averaged. So two of the three losses grow with the batch, and losses of two batch
# sizes cannot be compared.

# %% tags=["check"]
for n in (4, 8, 128):
    equal, labels = torch.ones(n, 3), torch.arange(n) % 2
    expected = {
        "bce": classification_loss(torch.zeros(n), labels),
        "supcon": supervised_contrastive_loss(equal, labels, 0.07),
        "clip": clip_loss(equal, equal, 0.07),
    }
    expect_close(
        losses_of_nothing(n), expected, f"losses of {n} studies"
    )
print("ex-02-nothing: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} A temperature by hand
# :label: ex-02-temperature
#
# *Ten minutes.* A batch has two reports. The image's similarity to its own report is `own`, to the other
# one `other`, with `own` above `other`. The model should be sure of its own report with probability
# `p`, between 0.5 and 1.
#
# Write `temperature_for(p, own, other)`: the $\tau$ for which
# $e^{\text{own}/\tau} / (e^{\text{own}/\tau} + e^{\text{other}/\tau}) = p$, with pencil and paper first.
# How sure is a model at $\tau = 0.07$ that tells 0.5 from 0.4?
#
# The check puts your temperature into PyTorch's softmax.
# ```

# %% [markdown]
# ```{solution-start} ex-02-temperature
# :class: dropdown
# ```


# %% tags=["solution"]
def temperature_for(p, own, other):
    """The temperature that makes the own report as probable as `p`."""
    ### BEGIN SOLUTION
    return (own - other) / math.log(p / (1 - p))
    ### END SOLUTION


(torch.tensor([0.5, 0.4]) / 0.07).softmax(0)

# %% [markdown] tags=["solution"]
# Only the difference counts, and $\tau$ is the unit it is measured in: a lead of one $\tau$ is a
# probability of $1/(1 + e^{-1}) \approx 0.73$, whatever the similarities. In a space where all
# similarities lie close together a small $\tau$ turns chance differences into confident answers; that is
# how a loss can begin above the one of a model that knows nothing.

# %% tags=["check"]
for p, own, other in [
    (0.9, 0.5, 0.4),
    (0.6, 0.1, -0.3),
    (0.999, 1.0, 0.0),
]:
    answer = temperature_for(p, own, other)
    tau = float(expect_numbers(answer, (), "temperature"))
    similarities = torch.tensor([own, other], dtype=torch.float64)
    expect_close(
        (similarities / tau).softmax(0)[0],
        p,
        f"probability of {own} before {other} at tau = {tau:.4f}",
    )
print("ex-02-temperature: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Count what is trained
# :label: ex-02-count
#
# *Ten minutes.* The paper trains the last block of each tower, the image trunk's last norm and both
# projections. A block of width $w$ with a hidden layer of $h$ has four square projections (queries,
# keys, values, output), two layers between $w$ and $h$, and two layer norms with a scale and a
# shift each. All but the norms are linear layers with a bias.
#
# Write `block_parameters(width, hidden)`. Then write `trained_parameters()` of full-size BiomedCLIP: both
# towers have $w = 768$ and $h = 3072$; the image projection goes from 768 to 512 and the text
# projection from 768 over 640 to 512, all without a bias.
#
# The check counts the parameters of PyTorch's own transformer block.
# ```

# %% [markdown]
# ```{solution-start} ex-02-count
# :class: dropdown
# ```


# %% tags=["solution"]
def block_parameters(width, hidden):
    """Parameters of one transformer block."""
    ### BEGIN SOLUTION
    attention = 4 * (width * width + width)
    mlp = (width * hidden + hidden) + (hidden * width + width)
    return attention + mlp + 2 * (2 * width)
    ### END SOLUTION


def trained_parameters():
    """Parameters of full-size BiomedCLIP that the paper trains."""
    ### BEGIN SOLUTION
    blocks = 2 * block_parameters(768, 3072)
    trunk_norm = 2 * 768
    projections = 768 * 512 + 768 * 640 + 640 * 512
    return blocks + trunk_norm + projections
    ### END SOLUTION


print(f"{trained_parameters():,} are trained")

# %% [markdown] tags=["solution"]
# Twice the block is nearly all of it. Its hidden layer has two thirds of a block, its attention one
# third. The fusion head, 513 more, is not part of BiomedCLIP and does not count here.

# %% tags=["check"]
for width, hidden in [(768, 3072), (32, 96)]:
    block = nn.TransformerEncoderLayer(width, 4, hidden)
    expect_equal(
        block_parameters(width, hidden),
        sum(p.numel() for p in block.parameters()),
        f"parameters of a block of {width} and {hidden}",
    )
projections = nn.ModuleList(
    nn.Linear(*sizes, bias=False)
    for sizes in [(768, 512), (768, 640), (640, 512)]
)
rest = [*projections.parameters(), *nn.LayerNorm(768).parameters()]
expect_equal(
    trained_parameters(),
    2 * block_parameters(768, 3072) + sum(p.numel() for p in rest),
    "parameters of two blocks, a norm and three matrices",
)
print("ex-02-count: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} The CLIP loss as loops
# :label: ex-02-loops
#
# *Half an hour.* Write {eq}`eq-clip` as it stands, with loops over $i$ and $j$, numbers instead of
# matrices, and the functions of `math` alone: `clip_by_loops(v, t, tau)` for two tensors [N, d], which
# returns a float. Do not forget that $v_i$ and $t_i$ are L2-normalised.
#
# Then try it with a temperature of 0.001. What fails, and what does the library do about it?
#
# The check compares it with `clip_loss`, and with a batch whose loss is known.
# ```

# %% [markdown]
# ```{solution-start} ex-02-loops
# :class: dropdown
# ```


# %% tags=["solution"]
def clip_by_loops(v, t, tau):
    """The symmetric contrastive loss between images and reports, a float."""

    ### BEGIN SOLUTION
    def unit(x):
        norm = math.sqrt(sum(a * a for a in x))
        return [a / norm for a in x]

    def similarity(x, y):
        return sum(a * b for a, b in zip(x, y, strict=True))

    v, t = [unit(x) for x in v.tolist()], [unit(x) for x in t.tolist()]
    total = 0.0
    for i in range(len(v)):
        for query, targets in ((v[i], t), (t[i], v)):
            scores = [
                math.exp(similarity(query, x) / tau) for x in targets
            ]
            total -= math.log(scores[i] / sum(scores))
    return total / (2 * len(v))
    ### END SOLUTION


clip_by_loops(some_vectors(5, 8), some_vectors(5, 8), 0.07)

# %% [markdown] tags=["solution"]
# $e^{1/0.001}$ is too large for a floating-point number. The library takes the logarithm of the sum from
# `cross_entropy`, which subtracts the largest score first: the ratio stays the same and no exponential
# exceeds 1.

# %% tags=["check"]
for n, d, tau in [(1, 3, 0.5), (6, 4, 0.07), (9, 16, 1.0)]:
    v, t = (normalize(some_vectors(n, d)) for _ in range(2))
    expected = clip_loss(v, t, tau)
    for name, lengths in {
        "of length 1": (1, 1),
        "longer": (3, 2),
    }.items():
        expect_close(
            clip_by_loops(lengths[0] * v, lengths[1] * t, tau),
            expected,
            f"loss of {n} pairs whose embeddings are {name}",
            atol=1e-6,
        )
corners = torch.eye(4, dtype=torch.float64)
expect_close(
    clip_by_loops(corners, corners, 1.0),
    math.log(math.e + 3) - 1,  # one similarity is 1, three are 0
    "loss of four orthogonal pairs, log(e + 3) - 1",
)
print("ex-02-loops: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} SupCon with two positives
# :label: ex-02-supcon
#
# *Half an hour.* Four studies on the unit circle: three abnormal ones at 0°, 0° and 90°, a normal
# one at 180°. Work out by hand, at $\tau = 1$, what the study at 90° contributes to {eq}`eq-supcon`, and
# what the normal one does.
#
# Then write `supcon_by_loops(f, labels, tau)` for a tensor [N, d] of L2-normalised rows and a list of
# labels. A study that is alone with its label contributes nothing, but is counted in $N$. Last, write
# `contribution_by_hand()`: what the study at 90° contributes, before the division by $N$.
#
# The check compares the loops with the library, and the hand with the loops.
# ```

# %% [markdown]
# ```{solution-start} ex-02-supcon
# :class: dropdown
# ```


# %% tags=["solution"]
def supcon_by_loops(f, labels, tau):
    """The supervised contrastive loss of normalised features, a float."""
    ### BEGIN SOLUTION
    f, total = f.tolist(), 0.0
    for i, anchor in enumerate(f):
        score = {
            a: math.exp(
                sum(x * y for x, y in zip(anchor, other, strict=True))
                / tau
            )
            for a, other in enumerate(f)
            if a != i
        }
        positives = [a for a in score if labels[a] == labels[i]]
        for p in positives:
            share = score[p] / sum(score.values())
            total -= math.log(share) / len(positives)
    return total / len(f)
    ### END SOLUTION


def contribution_by_hand():
    """What the abnormal study at 90 degrees contributes, before 1/N."""
    ### BEGIN SOLUTION
    # It is orthogonal to all three others: each has the score e^0.
    return math.log(3)
    ### END SOLUTION


contribution_by_hand()

# %% [markdown] tags=["solution"]
# The study at 90° sees three equal scores, so each of its two positives has the share 1/3, and the mean of
# two equal terms is one of them. The normal one has no positive: it contributes nothing itself, but stands
# in the denominator of the others, at 0° with $e^{-1}$. An average over two positives, not a sum: a
# study does not weigh more because many others share its label.

# %% tags=["check"]
angles = torch.tensor([0, 0, math.pi / 2, math.pi], dtype=torch.float64)
circle = torch.stack([angles.cos(), angles.sin()], dim=1)
abnormal = [1, 1, 1, 0]
for n, labels in [(4, abnormal), (5, [0, 0, 0, 1, 1]), (3, [0, 1, 2])]:
    f = circle if labels is abnormal else normalize(some_vectors(n, 6))
    for tau in (0.07, 1.0):
        expect_close(
            supcon_by_loops(f, labels, tau),
            supervised_contrastive_loss(f, torch.tensor(labels), tau),
            f"loss of the labels {labels} at tau = {tau}",
            atol=1e-6,
        )
at_zero = (-2 + 2 * math.log(math.e + 1 + math.exp(-1)) + 1) / 2
whole = 4 * float(supcon_by_loops(circle, abnormal, 1.0))
expect_close(
    contribution_by_hand(),
    whole - 2 * at_zero,
    "contribution at 90°, what the two studies at 0° leave of the loss",
    rtol=1e-4,
)
print("ex-02-supcon: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Who pulls on whom?
# :label: ex-02-gradient
#
# *Half an hour.* With the logits $s_{ij} = v_i \cdot t_j / \tau$, derive the gradient of the CLIP loss with
# respect to $s_{ij}$. Use $p_{ij}$ for the softmax over the row $i$ and $q_{ij}$ for the one over the
# column $j$.
#
# Write `clip_gradient(logits)` for [N, N] logits, without autograd. What do its entries sum to, and
# what is the gradient at an image and a report that is word for word its own, but of another study?
#
# The check compares it with autograd.
# ```

# %% [markdown]
# ```{solution-start} ex-02-gradient
# :class: dropdown
# ```


# %% tags=["solution"]
def clip_gradient(logits):
    """Gradient of the CLIP loss with respect to its logits, [N, N]."""
    ### BEGIN SOLUTION
    own = torch.eye(len(logits), dtype=logits.dtype)
    rows, columns = logits.softmax(1), logits.softmax(0)
    return (rows + columns - 2 * own) / (2 * len(logits))
    ### END SOLUTION


clip_gradient(torch.zeros(3, 3))

# %% [markdown] tags=["solution"]
# ```{math}
# \frac{\partial L}{\partial s_{ij}} = \frac{p_{ij} + q_{ij} - 2 [i = j]}{2N}
# ```
#
# The entries sum to 0 in all: what is pulled in is pushed out elsewhere. Each pair of strangers is pushed
# apart as strongly as it is believed. An equal report of another study is believed as much as the own one,
# so at best half of the belief is right, and the image is pushed from the very words that describe it:
# a *false negative*.

# %% tags=["check"]
for n in (1, 2, 7):
    logits = some_vectors(n, n).requires_grad_()
    target = torch.arange(n)
    loss = nn.functional.cross_entropy(logits, target)
    loss = (loss + nn.functional.cross_entropy(logits.T, target)) / 2
    loss.backward()
    expect_close(
        clip_gradient(logits.detach()),
        logits.grad,
        f"gradient of {n} pairs, by autograd",
        atol=1e-6,
    )
print("ex-02-gradient: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Attention without keys and values
# :label: ex-02-attention
#
# *An afternoon.* Only one token leaves the last block, so one query per head is asked. Ordinary attention
# projects all $n$ tokens to keys and to values first. With one query $q$ of a head it need not:
#
# $$ q \cdot (W_K x_j + b_K) = (W_K^\top q) \cdot x_j + q \cdot b_K, \qquad
# \sum_j a_j (W_V x_j + b_V) = W_V \sum_j a_j x_j + b_V. $$
#
# Why may $q \cdot b_K$ be left out? What makes the second equation true?
#
# Write `attend_once(attention, query, tokens, is_token)`, for an `nn.MultiheadAttention` with
# `batch_first=True`, `query` [batch, width], `tokens` [batch, n, width] and `is_token` [batch, n], False for
# padding. It returns what `attention(query, tokens, tokens)` returns, [batch, width], and never
# makes a key or a value of a token. `attention.in_proj_weight` holds the projections of queries, keys
# and values below each other.
#
# The check compares it with PyTorch's own attention, counts the multiplications of both, and changes the
# padding.
# ```

# %% [markdown]
# ```{solution-start} ex-02-attention
# :class: dropdown
# ```


# %% tags=["solution"]
def attend_once(attention, query, tokens, is_token):
    """Multi-head attention of one query per sequence, [batch, width]."""
    ### BEGIN SOLUTION
    heads, width = attention.num_heads, query.shape[1]
    w_query, w_key, w_value = attention.in_proj_weight.split(width)
    b_query, _, b_value = attention.in_proj_bias.split(width)

    query = (query @ w_query.T + b_query).unflatten(1, (heads, -1))
    w_key = w_key.unflatten(0, (heads, -1))
    absorbed = torch.einsum("bhd,hdw->bhw", query, w_key)
    scores = absorbed @ tokens.mT / math.sqrt(width / heads)
    scores = scores.masked_fill(~is_token[:, None], -torch.inf)

    gathered = scores.softmax(2) @ tokens
    w_value = w_value.unflatten(0, (heads, -1))
    value = torch.einsum("bhw,hdw->bhd", gathered, w_value).flatten(1)
    return attention.out_proj(value + b_value)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# A softmax does not see what is added to all of its scores, and $q \cdot b_K$ is added to all; and the
# weights $a_j$ of a softmax sum to 1, so the bias comes out once. Each head now works in the full width
# instead of its share of it, which would be a waste with many queries. With one it saves two projections of
# all tokens. `cxr_mtl.models.single_query` is this function with a layer norm absorbed too;
# [the chapter on cost](../07_cost) measures what it is worth.

# %% tags=["check"]
torch.manual_seed(seed)
attention = nn.MultiheadAttention(32, 4, batch_first=True).double()
for bias in (attention.in_proj_bias, attention.out_proj.bias):
    nn.init.normal_(bias)
query, tokens = some_vectors(3, 32), some_vectors(3, 50, 32)
is_token = torch.arange(50) < torch.tensor([[50], [20], [1]])


def ordinary(attention, query, tokens, is_token):
    """The same with keys and values of all tokens."""
    w, b = attention.in_proj_weight, attention.in_proj_bias
    asked = query @ w[:32].T + b[:32]
    made = (tokens @ w[32:].T + b[32:]).unflatten(2, (2, 4, -1))
    keys, values = made.permute(2, 0, 3, 1, 4)
    gathered = scaled_dot_product_attention(
        asked.unflatten(1, (4, 1, -1)),
        keys,
        values,
        is_token[:, None, None],
    )
    return attention.out_proj(gathered.flatten(1))


multiplications, answers = [], []
for way in (attend_once, ordinary):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        answers.append(way(attention, query, tokens, is_token))
    multiplications.append(counter.get_total_flops() // 2)
expected, _ = attention(
    query[:, None], tokens, tokens, key_padding_mask=~is_token
)
for answer in answers:
    expect_close(
        answer, expected[:, 0], "output, by PyTorch's attention"
    )
expect_between(
    multiplications[0],
    0,
    multiplications[1] / 2,
    "multiplications, where neither keys nor values are made",
)
tokens[1, 30] = 1000.0
again = attend_once(attention, query, tokens, is_token)
expect_close(again, expected[:, 0], "output with other padding")
print("{:,} multiplications, ordinarily {:,}".format(*multiplications))
print("ex-02-attention: passed")

# %% [markdown]
# ```{solution-end}
# ```
