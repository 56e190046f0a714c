"""Answers to the exercises on the weight search."""


# %% ex-03-best-trial, wrong: a pruned trial may win
def best_weights(trials):
    best = trials.loc[trials["value"].idxmax()]
    return LossWeights(*best[["params_bce", "params_supcon", "params_clip"]])


# %% ex-03-best-trial, wrong: the lowest objective
def best_weights(trials):
    complete = trials[trials["state"] == "COMPLETE"]
    best = complete.loc[complete["value"].idxmin()]
    return LossWeights(*best[["params_bce", "params_supcon", "params_clip"]])


# %% ex-03-best-trial, wrong: the columns in the order of the alphabet
def best_weights(trials):
    complete = trials[trials["state"] == "COMPLETE"]
    best = complete.loc[complete["value"].idxmax()]
    return LossWeights(*best[["params_bce", "params_clip", "params_supcon"]])


# %% ex-03-best-trial, wrong: a dict
def best_weights(trials):
    complete = trials[trials["state"] == "COMPLETE"]
    best = complete.loc[complete["value"].idxmax()]
    return {name: best[f"params_{name}"] for name in ("bce", "supcon", "clip")}


# %% ex-03-best-trial, right: sorted
def best_weights(trials):
    complete = trials[trials["state"] == "COMPLETE"].reset_index(drop=True)
    best = complete.sort_values("value", ascending=False, kind="stable").iloc[0]
    return LossWeights(*(float(best[f"params_{name}"]) for name in ("bce", "supcon", "clip")))


# %% ex-03-random-trials, wrong: rounded down
def random_trials(share, probability):
    return int(log(1 - probability) / log(1 - share))


# %% ex-03-random-trials, wrong: rounded
def random_trials(share, probability):
    return round(log(1 - probability) / log(1 - share))


# %% ex-03-random-trials, wrong: one more than rounded down
def random_trials(share, probability):
    return int(log(1 - probability) / log(1 - share)) + 1


# %% ex-03-random-trials, wrong: probabilities add up
def random_trials(share, probability):
    return ceil(probability / share)


# %% ex-03-random-trials, right: NumPy
def random_trials(share, probability):
    return np.ceil(np.log2(1 - probability) / np.log2(1 - share)).astype(int)


# %% ex-03-log-uniform, wrong: uniform
def log_uniform(low, high, u):
    return low + (high - low) * u


# %% ex-03-log-uniform, wrong: falling
def log_uniform(low, high, u):
    return high * (low / high) ** u


# %% ex-03-log-uniform, wrong: the exponent of another base
def log_uniform(low, high, u):
    return np.exp(np.log10(low) + u * (np.log10(high) - np.log10(low)))


# %% ex-03-log-uniform, wrong: one row
def log_uniform(low, high, u):
    return (low * (high / low) ** u).ravel()


# %% ex-03-log-uniform, right: a tensor by logarithms
def log_uniform(low, high, u):
    u = torch.tensor(u, dtype=torch.float32)
    return (log(low) + u * (log(high) - log(low))).exp()


# %% ex-03-shrunk, wrong: halved
def shrunk(weights):
    return LossWeights(*(value / 2 for value in vars(weights).values()))


# %% ex-03-shrunk, wrong: each to its lower end
def shrunk(weights):
    return LossWeights(**{name: ends[0] for name, ends in weight_search.RANGES.items()})


# %% ex-03-shrunk, wrong: the least factor
def shrunk(weights):
    ends = weight_search.RANGES.items()
    factor = min(low / getattr(weights, name) for name, (low, _) in ends)
    return LossWeights(*(factor * value for value in vars(weights).values()))


# %% ex-03-shrunk, wrong: the smallest weight to its lower end
def shrunk(weights):
    name = min(vars(weights), key=lambda name: getattr(weights, name))
    factor = weight_search.RANGES[name][0] / getattr(weights, name)
    return LossWeights(*(factor * value for value in vars(weights).values()))


# %% ex-03-shrunk, right: in single precision
def shrunk(weights):
    lows = np.float32([ends[0] for ends in weight_search.RANGES.values()])
    values = np.float32([getattr(weights, name) for name in weight_search.RANGES])
    values = (lows / values).max() * values
    return LossWeights(**dict(zip(weight_search.RANGES, values.tolist(), strict=True)))


# %% ex-03-tpe, wrong: drawn by the order of magnitude
def best_so_far(sampler, trials):
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial):
        ranges = weight_search.RANGES.items()
        return toy_objective(**{n: trial.suggest_float(n, *ends, log=True) for n, ends in ranges})

    study.optimize(objective, n_trials=trials)
    return np.maximum.accumulate([trial.value for trial in study.trials])


# %% ex-03-tpe, wrong: another range
def best_so_far(sampler, trials):
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial):
        return toy_objective(**{n: trial.suggest_float(n, 0.2, 2) for n in weight_search.RANGES})

    study.optimize(objective, n_trials=trials)
    return np.maximum.accumulate([trial.value for trial in study.trials])


# %% ex-03-tpe, wrong: each value
def best_so_far(sampler, trials):
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial):
        ranges = weight_search.RANGES.items()
        return toy_objective(**{n: trial.suggest_float(n, *ends) for n, ends in ranges})

    study.optimize(objective, n_trials=trials)
    return np.array([trial.value for trial in study.trials])


# %% ex-03-tpe, wrong: minimised
def best_so_far(sampler, trials):
    study = optuna.create_study(sampler=sampler)

    def objective(trial):
        ranges = weight_search.RANGES.items()
        return toy_objective(**{n: trial.suggest_float(n, *ends) for n, ends in ranges})

    study.optimize(objective, n_trials=trials)
    return np.maximum.accumulate([trial.value for trial in study.trials])


# %% ex-03-tpe, wrong: the best of all
def best_so_far(sampler, trials):
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial):
        ranges = weight_search.RANGES.items()
        return toy_objective(**{n: trial.suggest_float(n, *ends) for n, ends in ranges})

    study.optimize(objective, n_trials=trials)
    return study.best_value


# %% ex-03-tpe, right: other names and the other sign, a list
def best_so_far(sampler, trials):
    study, best = optuna.create_study(sampler=sampler), []
    for _ in range(trials):
        trial = study.ask()
        ends = (weight_search.RANGES[name] for name in ("bce", "supcon", "clip"))
        value = toy_objective(*[trial.suggest_float(f"w{i}", *e) for i, e in enumerate(ends)])
        study.tell(trial, -value)
        best.append(max([value, *best[-1:]]))
    return best


# %% ex-03-simplex, wrong: no corners and edges
def over_the_triangle(parts, seeds):
    rows = [
        (i / parts, j / parts, 1 - (i + j) / parts, s, 0.5)
        for i in range(1, parts)
        for j in range(1, parts - i)
        for s in seeds
    ]
    return pd.DataFrame(rows, columns=["bce", "supcon", "clip", "seed", "mrr"])


# %% ex-03-simplex, wrong: images to reports only
def over_the_triangle(parts, seeds):
    rows = []
    for i in range(parts + 1):
        for j in range(parts + 1 - i):
            shares = np.array([i, j, parts - i - j]) / parts
            for s in seeds:
                v, t, _ = train_toy(LossWeights(*shares), s)
                rows.append([*shares, s, trainer.validation_mrr(v, t)[0]])
    return pd.DataFrame(rows, columns=["bce", "supcon", "clip", "seed", "mrr"])


# %% ex-03-simplex, wrong: the mean over the seeds
def over_the_triangle(parts, seeds):
    rows = []
    for i in range(parts + 1):
        for j in range(parts + 1 - i):
            shares = np.array([i, j, parts - i - j]) / parts
            rows.append([*shares, 0.5])
    return pd.DataFrame(rows, columns=["bce", "supcon", "clip", "mrr"])


# %% ex-03-simplex, right: more columns in another order
def over_the_triangle(parts, seeds):
    rows = []
    for s in reversed(seeds):
        for i in range(parts + 1):
            for j in range(parts + 1 - i):
                shares = np.array([parts - i - j, i, j]) / parts
                v, t, loss = train_toy(LossWeights(*shares), s)
                rows.append([loss, np.mean(trainer.validation_mrr(v, t)), s, *shares])
    return pd.DataFrame(rows, columns=["loss", "mrr", "seed", "bce", "supcon", "clip"])
