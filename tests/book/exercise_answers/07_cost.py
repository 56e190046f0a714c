"""Answers to the exercises on cost."""


# %% ex-07-store, wrong: padded
def store_bytes(lengths, width, bytes_per_value):
    tokens = len(lengths) * int(max(lengths)) * width * bytes_per_value
    return tokens + len(lengths) * width * 4


# %% ex-07-store, wrong: one token per study is left out
def store_bytes(lengths, width, bytes_per_value):
    return int(sum(lengths)) * width * bytes_per_value


# %% ex-07-store, wrong: the one token is as short as the others
def store_bytes(lengths, width, bytes_per_value):
    return (int(sum(lengths)) + len(lengths)) * width * bytes_per_value


# %% ex-07-store, right: a tensor
def store_bytes(lengths, width, bytes_per_value):
    return (lengths * bytes_per_value + 4).sum() * width


# %% ex-07-break-even, wrong: at equality
def break_even(prefix, cached_epoch, plain_epoch):
    saved = plain_epoch - cached_epoch
    return math.ceil(prefix / saved) if saved > 0 else None


# %% ex-07-break-even, wrong: the quotient
def break_even(prefix, cached_epoch, plain_epoch):
    saved = plain_epoch - cached_epoch
    return prefix / saved if saved > 0 else None


# %% ex-07-break-even, wrong: a slower cache
def break_even(prefix, cached_epoch, plain_epoch):
    saved = plain_epoch - cached_epoch
    return math.floor(prefix / saved) + 1 if saved else None


# %% ex-07-break-even, wrong: the cached epoch is free
def break_even(prefix, cached_epoch, plain_epoch):
    return math.floor(prefix / plain_epoch) + 1 if plain_epoch > cached_epoch else None


# %% ex-07-break-even, right: one by one
def break_even(prefix, cached_epoch, plain_epoch):
    if plain_epoch <= cached_epoch:
        return None
    epochs = torch.tensor(1)
    while prefix + epochs * cached_epoch >= epochs * plain_epoch:
        epochs += 1
    return epochs


# %% ex-07-multiply-adds, wrong: FLOPs
def attention_multiply_adds(n, d, h):
    counts = 4 * n * d**2 + 2 * n**2 * d, 2 * n * d**2 + 2 * d**2 + 2 * n * d
    return (*(2 * count for count in counts), 2 * (4 * d**2 + 2 * h * n * d))


# %% ex-07-multiply-adds, wrong: the output is not projected
def attention_multiply_adds(n, d, h):
    return (
        3 * n * d**2 + 2 * n**2 * d,
        2 * n * d**2 + d**2 + 2 * n * d,
        3 * d**2 + 2 * h * n * d,
    )


# %% ex-07-multiply-adds, wrong: the heads read their share of the width
def attention_multiply_adds(n, d, h):
    return (
        4 * n * d**2 + 2 * n**2 * d,
        2 * n * d**2 + 2 * d**2 + 2 * n * d,
        4 * d**2 + 2 * n * d,
    )


# %% ex-07-multiply-adds, wrong: two of three
def attention_multiply_adds(n, d, h):
    return 4 * n * d**2 + 2 * n**2 * d, 2 * n * d**2 + 2 * d**2 + 2 * n * d


# %% ex-07-multiply-adds, right: a list of fractions
def attention_multiply_adds(n, d, h):
    per_head = 2 * n * n * (d / h)
    return [
        4.0 * n * d**2 + h * per_head,
        2.0 * n * d**2 + 2 * d**2 + h * per_head / n,
        4.0 * d**2 + 2 * h * n * d,
    ]


# %% ex-07-queries, wrong: as many as cost the same
def most_queries(n, d, h):
    return n * d // (d + (h - 1) * n)


# %% ex-07-queries, wrong: the limit
def most_queries(n, d, h):
    return d // max(1, h - 1)


# %% ex-07-queries, wrong: the first that pays
def most_queries(n, d, h):
    return (n * d - 1) // (d + (h - 1) * n) + 1


# %% ex-07-queries, right: one by one
def most_queries(n, d, h):
    m = 0
    while (m + 1) * (d + h * n) < n * d + (m + 1) * n:
        m += 1
    return m


# %% ex-07-heads, wrong: keys and values
def gathered(q, z, W_K, W_V, b_V, heads):
    split = [heads_of(x, heads) for x in (q[None], z @ W_K.T, z @ W_V.T + b_V)]
    return F.scaled_dot_product_attention(*split).flatten()


# %% ex-07-heads, wrong: keys
def gathered(q, z, W_K, W_V, b_V, heads):
    outputs, keys = [], z @ W_K.T
    for own in torch.arange(len(q)).chunk(heads):
        a = (keys[:, own] @ q[own] / len(own) ** 0.5).softmax(0)
        outputs.append(W_V[own] @ (a @ z) + b_V[own])
    return torch.cat(outputs)


# %% ex-07-heads, wrong: the scale of the whole width
def gathered(q, z, W_K, W_V, b_V, heads):
    outputs = []
    for own in torch.arange(len(q)).chunk(heads):
        a = (z @ (W_K[own].T @ q[own]) / len(q) ** 0.5).softmax(0)
        outputs.append(W_V[own] @ (a @ z) + b_V[own])
    return torch.cat(outputs)


# %% ex-07-heads, wrong: the bias is left out
def gathered(q, z, W_K, W_V, b_V, heads):
    outputs = []
    for own in torch.arange(len(q)).chunk(heads):
        a = (z @ (W_K[own].T @ q[own]) / len(own) ** 0.5).softmax(0)
        outputs.append(W_V[own] @ (a @ z))
    return torch.cat(outputs)


# %% ex-07-heads, wrong: the rows of the heads alternate
def gathered(q, z, W_K, W_V, b_V, heads):
    outputs = []
    for own in (torch.arange(len(q))[head::heads] for head in range(heads)):
        a = (z @ (W_K[own].T @ q[own]) / len(own) ** 0.5).softmax(0)
        outputs.append(W_V[own] @ (a @ z) + b_V[own])
    return torch.cat(outputs)


# %% ex-07-heads, wrong: without a gradient
def gathered(q, z, W_K, W_V, b_V, heads):
    outputs = []
    for own in torch.arange(len(q)).chunk(heads):
        a = (z @ (W_K[own].T @ q[own]) / len(own) ** 0.5).softmax(0)
        outputs.append(W_V[own] @ (a @ z) + b_V[own])
    return torch.cat(outputs).detach()


# %% ex-07-heads, right: all heads at once
def gathered(q, z, W_K, W_V, b_V, heads):
    q, W_K, W_V, b_V = (x.unflatten(0, (heads, -1)) for x in (q, W_K, W_V, b_V))
    absorbed = torch.einsum("hk,hkd->hd", q, W_K) / q.shape[1] ** 0.5
    a = (absorbed @ z.T).softmax(1)
    return (torch.einsum("hd,hkd->hk", a @ z, W_V) + b_V).flatten()


# %% ex-07-roofline, wrong: multiply-adds
def product_cost(batch, rows, inner, columns, bytes_per_value):
    values = rows * inner + inner * columns + rows * columns
    return batch * rows * inner * columns, batch * values * bytes_per_value


# %% ex-07-roofline, wrong: one batch is moved
def product_cost(batch, rows, inner, columns, bytes_per_value):
    values = rows * inner + inner * columns + rows * columns
    return 2 * batch * rows * inner * columns, values * bytes_per_value


# %% ex-07-roofline, wrong: the result is not written
def product_cost(batch, rows, inner, columns, bytes_per_value):
    values = rows * inner + inner * columns
    return 2 * batch * rows * inner * columns, batch * values * bytes_per_value


# %% ex-07-roofline, wrong: one after the other
def floor_seconds(flops, moved, peak, bandwidth):
    return flops / peak + moved / bandwidth


# %% ex-07-roofline, wrong: the faster of the two
def floor_seconds(flops, moved, peak, bandwidth):
    return min(flops / peak, moved / bandwidth)


# %% ex-07-roofline, right: a list, and a tensor
def product_cost(batch, rows, inner, columns, bytes_per_value):
    values = rows * inner + inner * columns + rows * columns
    return [2 * batch * rows * inner * columns, batch * values * bytes_per_value]


def floor_seconds(flops, moved, peak, bandwidth):
    return torch.tensor([flops / peak, moved / bandwidth]).max()


# %% ex-07-vit, wrong: the whole model
def embed_by_one_query(vit, images):
    return vit(images)


# %% ex-07-vit, wrong: one query with keys and values
def embed_by_one_query(vit, images):
    x = vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))
    x = vit.blocks[:-1](x)
    last, z = vit.blocks[-1], vit.blocks[-1].norm1(x)
    W_Q, W_K, W_V = last.attn.qkv.weight.chunk(3)
    b_Q, b_K, b_V = last.attn.qkv.bias.chunk(3)
    split = [
        F.linear(tokens, W, b).unflatten(-1, (last.attn.num_heads, -1)).transpose(1, 2)
        for tokens, W, b in ((z[:, :1], W_Q, b_Q), (z, W_K, b_K), (z, W_V, b_V))
    ]
    o = F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)[:, 0]
    cls = x[:, 0] + last.attn.proj(o)
    return vit.norm(cls + last.mlp(last.norm2(cls)))


# %% ex-07-vit, wrong: the first norm is left out
def embed_by_one_query(vit, images):
    x = vit.blocks(vit._pos_embed(vit.patch_embed(images)))
    return vit.norm(x[:, 0])


# %% ex-07-vit, wrong: the last norm is left out
def embed_by_one_query(vit, images):
    x = vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))
    return vit.blocks(x)[:, 0]


# %% ex-07-vit, wrong: without a gradient
def embed_by_one_query(vit, images):
    return vit(images).detach()
