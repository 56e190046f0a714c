"""Answers to the exercises on the model and its losses."""


# %% ex-02-nothing, wrong: SupCon picks one of n
def losses_of_nothing(n):
    return {"bce": math.log(2), "supcon": math.log(n), "clip": math.log(n)}


# %% ex-02-nothing, wrong: SupCon picks any of its label
def losses_of_nothing(n):
    return {"bce": math.log(2), "supcon": math.log((n - 1) / (n / 2 - 1)), "clip": math.log(n)}


# %% ex-02-nothing, wrong: in bits
def losses_of_nothing(n):
    return {"bce": 1.0, "supcon": math.log2(n - 1), "clip": math.log2(n)}


# %% ex-02-nothing, wrong: a loss is missing
def losses_of_nothing(n):
    return {"bce": math.log(2), "clip": math.log(n)}


# %% ex-02-nothing, right: tensors, in another order
def losses_of_nothing(n):
    numbers = {"clip": n, "supcon": n - 1, "bce": 2}
    return {name: torch.tensor(float(number)).log() for name, number in numbers.items()}


# %% ex-02-temperature, wrong: the logarithm of p
def temperature_for(p, own, other):
    return (other - own) / math.log(p)


# %% ex-02-temperature, wrong: 1 / tau
def temperature_for(p, own, other):
    return math.log(p / (1 - p)) / (own - other)


# %% ex-02-temperature, wrong: nearly, for a large p
def temperature_for(p, own, other):
    return -(own - other) / math.log(1 - p)


# %% ex-02-temperature, right: a tensor
def temperature_for(p, own, other):
    return torch.tensor(own - other) / torch.tensor(p).logit()


# %% ex-02-count, wrong: no biases
def block_parameters(width, hidden):
    return 4 * width * width + 2 * width * hidden + 2 * 2 * width


# %% ex-02-count, wrong: one norm
def block_parameters(width, hidden):
    return 4 * (width**2 + width) + 2 * width * hidden + hidden + width + 2 * width


# %% ex-02-count, wrong: the projections with biases
def trained_parameters():
    rest = 2 * 768 + 769 * 512 + 769 * 640 + 641 * 512
    return 2 * block_parameters(768, 3072) + rest


# %% ex-02-count, wrong: one tower
def trained_parameters():
    return block_parameters(768, 3072) + 2 * 768 + 768 * 512 + 768 * 640 + 640 * 512


# %% ex-02-count, right: NumPy's whole numbers
import numpy


def block_parameters(width, hidden):
    width, hidden = numpy.int64(width), numpy.int64(hidden)
    return (4 * width + 2 * hidden + 4 + 5) * width + hidden


# %% ex-02-loops, wrong: images to reports only
def clip_by_loops(v, t, tau):
    v, t = normalize(v), normalize(t)
    return nn.functional.cross_entropy(v @ t.T / tau, torch.arange(len(v))).item()


# %% ex-02-loops, wrong: the sum of both directions
def clip_by_loops(v, t, tau):
    return 2 * clip_loss(v, t, tau).item()


# %% ex-02-loops, wrong: the images alone are normalised
def clip_by_loops(v, t, tau):
    logits, own = normalize(v) @ t.T / tau, torch.arange(len(v))
    both = (nn.functional.cross_entropy(each, own) for each in (logits, logits.T))
    return sum(both).item() / 2


# %% ex-02-loops, wrong: not normalised
def clip_by_loops(v, t, tau):
    logits, own = v @ t.T / tau, torch.arange(len(v))
    both = (nn.functional.cross_entropy(each, own) for each in (logits, logits.T))
    return sum(both).item() / 2


# %% ex-02-loops, right: matrices, in single precision
def clip_by_loops(v, t, tau):
    return clip_loss(v.float(), t.float(), tau)


# %% ex-02-supcon, wrong: the mean over anchors with a positive
def supcon_by_loops(f, labels, tau):
    alone = [label for label in labels if labels.count(label) == 1]
    loss = supervised_contrastive_loss(f, torch.tensor(labels), tau).item()
    return loss * len(labels) / max(1, len(labels) - len(alone))


# %% ex-02-supcon, wrong: the sum over the positives
def supcon_by_loops(f, labels, tau):
    logits = (f @ f.T / tau).fill_diagonal_(-torch.inf)
    share = logits.log_softmax(1)
    positive = torch.tensor(labels)[:, None] == torch.tensor(labels)
    return -share[positive.fill_diagonal_(False)].sum().item() / len(f)


# %% ex-02-supcon, wrong: the study itself in the denominator
def supcon_by_loops(f, labels, tau):
    share = (f @ f.T / tau).log_softmax(1)
    positive = torch.tensor(labels)[:, None] == torch.tensor(labels)
    positive = positive.fill_diagonal_(False).double()
    means = (share * positive).sum(1) / positive.sum(1).clamp(min=1)
    return -means.mean().item()


# %% ex-02-supcon, wrong: the logarithm of the mean
def supcon_by_loops(f, labels, tau):
    share = (f @ f.T / tau).fill_diagonal_(-torch.inf).softmax(1)
    positive = torch.tensor(labels)[:, None] == torch.tensor(labels)
    positive = positive.fill_diagonal_(False).double()
    means = (share * positive).sum(1) / positive.sum(1).clamp(min=1)
    return -means[means > 0].log().sum().item() / len(f)


# %% ex-02-supcon, wrong: four scores
def contribution_by_hand():
    return math.log(4)


# %% ex-02-supcon, wrong: both positives
def contribution_by_hand():
    return 2 * math.log(3)


# %% ex-02-supcon, right: five digits, by hand
def contribution_by_hand():
    return 1.0986


# %% ex-02-gradient, wrong: rows only
def clip_gradient(logits):
    return (logits.softmax(1) - torch.eye(len(logits))) / len(logits)


# %% ex-02-gradient, wrong: no mean over both directions
def clip_gradient(logits):
    return (logits.softmax(1) + logits.softmax(0) - 2 * torch.eye(len(logits))) / len(logits)


# %% ex-02-gradient, wrong: the other sign
def clip_gradient(logits):
    return (2 * torch.eye(len(logits)) - logits.softmax(1) - logits.softmax(0)) / (2 * len(logits))


# %% ex-02-gradient, right: an array in single precision
def clip_gradient(logits):
    logits = logits.float()
    both = logits.softmax(1) + logits.softmax(0)
    return ((both - 2 * torch.eye(len(logits))) / (2 * len(logits))).numpy()


# %% ex-02-attention, wrong: keys and values are made
def attend_once(attention, query, tokens, is_token):
    return attention(query[:, None], tokens, tokens, key_padding_mask=~is_token)[0][:, 0]


# %% ex-02-attention, wrong: values are made
def attend_once(attention, query, tokens, is_token):
    heads, width = attention.num_heads, query.shape[1]
    w_query, w_key, w_value = attention.in_proj_weight.split(width)
    b_query, _, b_value = attention.in_proj_bias.split(width)
    query = (query @ w_query.T + b_query).unflatten(1, (heads, -1))
    absorbed = torch.einsum("bhd,hdw->bhw", query, w_key.unflatten(0, (heads, -1)))
    scores = absorbed @ tokens.mT / math.sqrt(width / heads)
    scores = scores.masked_fill(~is_token[:, None], -torch.inf)
    values = (tokens @ w_value.T + b_value).unflatten(2, (heads, -1))
    value = torch.einsum("bhn,bnhd->bhd", scores.softmax(2), values).flatten(1)
    return attention.out_proj(value)


# %% ex-02-attention, wrong: padding is read
def attend_once(attention, query, tokens, is_token):
    return attention(query[:, None], tokens, tokens)[0][:, 0]


# %% ex-02-attention, wrong: the bias of the output is left out
def attend_once(attention, query, tokens, is_token):
    whole = attention(query[:, None], tokens, tokens, key_padding_mask=~is_token)[0][:, 0]
    return whole - attention.out_proj.bias
