"""Answers to the exercises on training."""


# %% ex-04-one-label, wrong: with replacement
def chance_of_one_label(normal, abnormal, batch):
    n = normal + abnormal
    return (normal / n) ** batch + (abnormal / n) ** batch


# %% ex-04-one-label, wrong: all normal
def chance_of_one_label(normal, abnormal, batch):
    return comb(normal, batch) / comb(normal + abnormal, batch)


# %% ex-04-one-label, right: study by study, in single precision
def chance_of_one_label(normal, abnormal, batch):
    places = np.arange(batch)
    of_one = [np.prod((n - places) / (normal + abnormal - places)) for n in (normal, abnormal)]
    return np.float32(sum(of_one))


# %% ex-04-schedule, wrong: the warm-up rounded up
def rate(step, steps, warmup_fraction, peak):
    warmup = int(np.ceil(warmup_fraction * steps))
    if step <= warmup:
        return peak * step / warmup
    return peak * (1 + cos(pi * (step - warmup) / (steps - warmup))) / 2


# %% ex-04-schedule, wrong: the warm-up rounded down
def rate(step, steps, warmup_fraction, peak):
    warmup = int(warmup_fraction * steps)
    if step <= warmup:
        return peak * step / warmup
    return peak * (1 + cos(pi * (step - warmup) / (steps - warmup))) / 2


# %% ex-04-schedule, wrong: steps from 0
def rate(step, steps, warmup_fraction, peak):
    warmup, step = round(warmup_fraction * steps), step - 1
    if step < warmup:
        return peak * step / warmup
    return peak * (1 + cos(pi * (step - warmup) / (steps - warmup))) / 2


# %% ex-04-schedule, wrong: a whole cosine
def rate(step, steps, warmup_fraction, peak):
    warmup = round(warmup_fraction * steps)
    if step <= warmup:
        return peak * step / warmup
    return peak * (1 + cos(2 * pi * (step - warmup) / (steps - warmup))) / 2


# %% ex-04-schedule, right: a quarter of a sine, squared, in single precision
def rate(step, steps, warmup_fraction, peak):
    warmup = round(warmup_fraction * steps)
    if step <= warmup:
        return np.float32(peak * step / warmup)
    return np.float32(peak * np.sin(pi / 2 * (steps - step) / (steps - warmup)) ** 2)


# %% ex-04-early-stop, wrong: an equal value is a gain
def early_stop(scores, patience):
    best = 0
    for epoch, score in enumerate(scores):
        if score >= scores[best]:
            best = epoch
        if epoch - best >= patience:
            break
    return epoch + 1, best + 1


# %% ex-04-early-stop, wrong: an epoch more
def early_stop(scores, patience):
    best = 0
    for epoch, score in enumerate(scores):
        if score > scores[best]:
            best = epoch
        if epoch - best > patience:
            break
    return epoch + 1, best + 1


# %% ex-04-early-stop, wrong: epochs from 0
def early_stop(scores, patience):
    best = 0
    for epoch, score in enumerate(scores):
        if score > scores[best]:
            best = epoch
        if epoch - best >= patience:
            break
    return epoch, best


# %% ex-04-early-stop, wrong: no gain over the epoch before
def early_stop(scores, patience):
    bad = 0
    for epoch in range(1, len(scores)):
        bad = 0 if scores[epoch] > scores[epoch - 1] else bad + 1
        if bad == patience:
            return epoch + 1, int(np.argmax(scores[: epoch + 1])) + 1
    return len(scores), int(np.argmax(scores)) + 1


# %% ex-04-early-stop, wrong: the last epoch is kept
def early_stop(scores, patience):
    best = 0
    for epoch, score in enumerate(scores):
        if score > scores[best]:
            best = epoch
        if epoch - best >= patience:
            break
    return epoch + 1, epoch + 1


# %% ex-04-early-stop, right: a list of NumPy's whole numbers
def early_stop(scores, patience):
    best = np.int64(0)
    for epoch, score in enumerate(scores):
        if score > scores[best]:
            best = np.int64(epoch)
        if epoch - best >= patience:
            break
    return [epoch + 1, best + 1]


# %% ex-04-supcon-floor, wrong: the others are left out
def supcon_floor(labels, temperature):
    positives = [labels.count(label) - 1 for label in labels]
    return np.mean([log(p) if p else 0 for p in positives])


# %% ex-04-supcon-floor, wrong: the others are orthogonal
def supcon_floor(labels, temperature):
    counts = [(labels.count(label) - 1, len(labels) - labels.count(label)) for label in labels]
    return np.mean([log(p + m * exp(-1 / temperature)) if p else 0 for p, m in counts])


# %% ex-04-supcon-floor, wrong: the mean over anchors with a positive
def supcon_floor(labels, temperature):
    counts = [(labels.count(label) - 1, len(labels) - labels.count(label)) for label in labels]
    losses = [log(p + m * exp(-2 / temperature)) for p, m in counts if p]
    return sum(losses) / max(1, len(losses))


# %% ex-04-supcon-floor, wrong: 0
def supcon_floor(labels, temperature):
    return 0.0


# %% ex-04-supcon-floor, right: a tensor
def supcon_floor(labels, temperature):
    labels = torch.tensor(labels)
    positives = (labels[:, None] == labels).sum(1) - 1
    others = len(labels) - 1 - positives
    losses = (positives + others * exp(-2 / temperature)).log()
    return torch.where(positives > 0, losses, 0).mean()


# %% ex-04-adamw, wrong: Adam with L2
def adamw(start, gradients, rates, weight_decay):
    parameter = nn.Parameter(start.clone())
    optimiser = torch.optim.Adam([parameter], weight_decay=weight_decay)
    for g, eta in zip(gradients, rates, strict=True):
        optimiser.param_groups[0]["lr"] = eta
        parameter.grad = g
        optimiser.step()
    return parameter.detach()


# %% ex-04-adamw, wrong: the small number below the root
def adamw(start, gradients, rates, weight_decay):
    theta, m, u = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for s, (g, eta) in enumerate(zip(gradients, rates, strict=True), start=1):
        theta = theta * (1 - eta * weight_decay)
        m, u = 0.9 * m + 0.1 * g, 0.999 * u + 0.001 * g**2
        theta = theta - eta * m / (1 - 0.9**s) / (u / (1 - 0.999**s) + 1e-8).sqrt()
    return theta


# %% ex-04-adamw, wrong: the means are not corrected
def adamw(start, gradients, rates, weight_decay):
    theta, m, u = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for g, eta in zip(gradients, rates, strict=True):
        theta = theta * (1 - eta * weight_decay)
        m, u = 0.9 * m + 0.1 * g, 0.999 * u + 0.001 * g**2
        theta = theta - eta * m / (u.sqrt() + 1e-8)
    return theta


# %% ex-04-adamw, wrong: the decay after the step
def adamw(start, gradients, rates, weight_decay):
    theta, m, u = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for s, (g, eta) in enumerate(zip(gradients, rates, strict=True), start=1):
        m, u = 0.9 * m + 0.1 * g, 0.999 * u + 0.001 * g**2
        theta = theta - eta * m / (1 - 0.9**s) / ((u / (1 - 0.999**s)).sqrt() + 1e-8)
        theta = theta * (1 - eta * weight_decay)
    return theta


# %% ex-04-adamw, wrong: in place
def adamw(start, gradients, rates, weight_decay):
    m, u = torch.zeros_like(start), torch.zeros_like(start)
    for s, (g, eta) in enumerate(zip(gradients, rates, strict=True), start=1):
        start *= 1 - eta * weight_decay
        m, u = 0.9 * m + 0.1 * g, 0.999 * u + 0.001 * g**2
        start -= eta * m / (1 - 0.9**s) / ((u / (1 - 0.999**s)).sqrt() + 1e-8)
    return start


# %% ex-04-adamw, right: PyTorch, in single precision
def adamw(start, gradients, rates, weight_decay):
    parameter = nn.Parameter(start.float())
    optimiser = torch.optim.AdamW([parameter], weight_decay=weight_decay)
    for g, eta in zip(gradients, rates, strict=True):
        optimiser.param_groups[0]["lr"] = eta
        parameter.grad = g.float()
        optimiser.step()
    return parameter


# %% ex-04-resume, wrong: a fresh optimiser
def load_checkpoint(path):
    state = torch.load(path)
    model, optimiser = new_toy()
    model.load_state_dict(state["model"])
    return model, optimiser, state["epoch"]


# %% ex-04-resume, wrong: a fresh model
def load_checkpoint(path):
    state = torch.load(path)
    model, optimiser = new_toy()
    optimiser.load_state_dict(state["optimiser"])
    return model, optimiser, state["epoch"]


# %% ex-04-resume, wrong: the optimiser of another model
def load_checkpoint(path):
    state = torch.load(path)
    (model, _), (_, optimiser) = new_toy(), new_toy()
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return model, optimiser, state["epoch"]


# %% ex-04-resume, wrong: the killed model
def load_checkpoint(path):
    return model, optimiser, torch.load(path)["epoch"]


# %% ex-04-resume, wrong: the next epoch
def load_checkpoint(path):
    state = torch.load(path)
    model, optimiser = new_toy()
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return model, optimiser, state["epoch"] + 1


# %% ex-04-resume, right: whole objects
def save_checkpoint(path, model, optimiser, epoch):
    torch.save([model, optimiser, torch.tensor(epoch)], path)


def load_checkpoint(path):
    return torch.load(path, weights_only=False)


# %% ex-04-false-negatives, wrong: each study with itself
def false_negatives(texts):
    codes = torch.tensor(pd.factorize(pd.Series(texts).map(splits.normalise_text))[0])
    return codes[:, None] == codes


# %% ex-04-false-negatives, wrong: letter by letter
def false_negatives(texts):
    return torch.tensor([[a == b and a is not b for b in texts] for a in texts])


# %% ex-04-false-negatives, wrong: each pair once
def false_negatives(texts):
    codes = torch.tensor(pd.factorize(pd.Series(texts).map(splits.normalise_text))[0])
    return (codes[:, None] == codes).triu(1)


# %% ex-04-false-negatives, wrong: each pair is counted twice
def expected_in_batch(texts, batch):
    times = pd.Series(texts).map(splits.normalise_text).value_counts()
    n = len(texts)
    return (times * (times - 1)).sum() * batch * (batch - 1) / (n * (n - 1))


# %% ex-04-false-negatives, wrong: with replacement
def expected_in_batch(texts, batch):
    shares = pd.Series(texts).map(splits.normalise_text).value_counts() / len(texts)
    return (shares**2).sum() * batch * (batch - 1) / 2


# %% ex-04-false-negatives, wrong: one pair less than studies of a text
def expected_in_batch(texts, batch):
    times = pd.Series(texts).map(splits.normalise_text).value_counts()
    n = len(texts)
    return (times - 1).sum() * batch * (batch - 1) / (n * (n - 1))


# %% ex-04-false-negatives, wrong: masked by 0
def masked_clip_loss(images, texts, equal, temperature):
    v, t = (nn.functional.normalize(x, dim=1) for x in (images, texts))
    logits = (v @ t.T / temperature).masked_fill(equal, 0)
    return ((logits.logsumexp(1) + logits.logsumexp(0)) / 2 - logits.diagonal()).mean()


# %% ex-04-false-negatives, wrong: the rows alone are masked
def masked_clip_loss(images, texts, equal, temperature):
    v, t = (nn.functional.normalize(x, dim=1) for x in (images, texts))
    logits = v @ t.T / temperature
    rows = logits.masked_fill(equal, -torch.inf).logsumexp(1)
    return ((rows + logits.logsumexp(0)) / 2 - logits.diagonal()).mean()


# %% ex-04-false-negatives, wrong: not normalised
def masked_clip_loss(images, texts, equal, temperature):
    logits = (images @ texts.T / temperature).masked_fill(equal, -torch.inf)
    return ((logits.logsumexp(1) + logits.logsumexp(0)) / 2 - logits.diagonal()).mean()


# %% ex-04-false-negatives, wrong: counted as positives
def masked_clip_loss(images, texts, equal, temperature):
    v, t = (nn.functional.normalize(x, dim=1) for x in (images, texts))
    target = (equal + torch.eye(len(equal))).double()
    logits, target = v @ t.T / temperature, target / target.sum(1, keepdim=True)
    both = (nn.functional.cross_entropy(each, target) for each in (logits, logits.T))
    return sum(both) / 2


# %% ex-04-false-negatives, right: an array of whole numbers
def false_negatives(texts):
    keys = np.array([splits.normalise_text(text) for text in texts])
    return (keys[:, None] == keys).astype(int) - np.eye(len(texts), dtype=int)


def masked_clip_loss(images, texts, equal, temperature):
    v, t = (nn.functional.normalize(x.float(), dim=1) for x in (images, texts))
    weights = (v @ t.T / temperature).exp() * ~equal
    own = weights.diagonal()
    return ((weights.sum(1) / own).log().mean() + (weights.sum(0) / own).log().mean()) / 2
