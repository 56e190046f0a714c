"""Answers to the exercises on the data."""


# %% ex-01-normal, wrong: studies without any heading count
def normal_share(headings, unindexed):
    normal = sum("normal" in each for each in headings)
    others = sum(each == ["No Indexing"] for each in headings)
    if unindexed == "dropped":
        return normal / (len(headings) - others)
    return (normal + others * (unindexed == "normal")) / len(headings)


# %% ex-01-normal, wrong: the dropped stay in the denominator
def normal_share(headings, unindexed):
    kept = [each for each in headings if each]
    normal = sum("normal" in each for each in kept)
    others = sum(each == ["No Indexing"] for each in kept)
    return (normal + others * (unindexed == "normal")) / len(kept)


# %% ex-01-normal, wrong: per cent
def normal_share(headings, unindexed):
    words = {"normal": {"normal", "No Indexing"}}.get(unindexed, {"normal"})
    left_out = [["No Indexing"]] if unindexed == "dropped" else []
    kept = [each for each in headings if each and each not in left_out]
    return 100 * sum(each[0] in words for each in kept) / len(kept)


# %% ex-01-normal, right: a mean of booleans
def normal_share(headings, unindexed):
    words = {"normal": {"normal", "No Indexing"}}.get(unindexed, {"normal"})
    left_out = [["No Indexing"]] if unindexed == "dropped" else []
    kept = [each for each in headings if each and each not in left_out]
    return np.mean([not words.isdisjoint(each) for each in kept])


# %% ex-01-max, wrong: the lengths alone
def picks_shorter(findings, impression):
    return len(findings) < len(impression)


# %% ex-01-max, wrong: large and small letters are the same
def picks_shorter(findings, impression):
    shorter, longer = sorted((findings.lower(), impression.lower()), key=len)
    for a, b in zip(shorter, longer, strict=False):
        if a != b:
            return len(shorter) < len(longer) and a > b
    return False


# %% ex-01-max, wrong: a beginning is the larger one
def picks_shorter(findings, impression):
    shorter, longer = sorted((findings, impression), key=len)
    for a, b in zip(shorter, longer, strict=False):
        if a != b:
            return len(shorter) < len(longer) and a > b
    return len(shorter) < len(longer)


# %% ex-01-max, wrong: sections of equal length
def picks_shorter(findings, impression):
    shorter, longer = sorted((findings, impression), key=len)
    for a, b in zip(shorter, longer, strict=False):
        if a != b:
            return a > b
    return False


# %% ex-01-max, right: a NumPy boolean
def picks_shorter(findings, impression):
    shorter, longer = sorted((findings, impression), key=len)
    letters = zip(shorter, longer, strict=False)
    differing = [np.sign(ord(a) - ord(b)) for a, b in letters if a != b]
    return np.bool_(len(shorter) < len(longer) and bool(differing) and differing[0] > 0)


# %% ex-01-views, wrong: images that one source does not know
def view_conflicts(one, other):
    known = one.merge(other, on="image_id", how="outer", suffixes=("_one", "_other"))
    known = known[["image_id", "view_one", "view_other"]]
    return known[known["view_one"] != known["view_other"]]


# %% ex-01-views, wrong: the sources are exchanged
def view_conflicts(one, other):
    known = other.merge(one, on="image_id", suffixes=("_one", "_other"))
    return known[known["view_one"] != known["view_other"]]


# %% ex-01-views, wrong: one direction only
def view_conflicts(one, other):
    known = one.merge(other, on="image_id", suffixes=("_one", "_other"))
    return known[(known["view_one"] == "frontal") & (known["view_other"] == "lateral")]


# %% ex-01-views, wrong: row by row
def view_conflicts(one, other):
    known = one.head(len(other)).reset_index(drop=True)
    known["view_other"] = other["view"].head(len(known)).to_numpy()
    known = known.rename(columns={"view": "view_one"})
    return known[known["view_one"] != known["view_other"]]


# %% ex-01-views, wrong: other columns
def view_conflicts(one, other):
    known = one.merge(other, on="image_id")
    return known[known["view_x"] != known["view_y"]]


# %% ex-01-views, wrong: every conflict twice
def view_conflicts(one, other):
    known = one.merge(other, on="image_id", suffixes=("_one", "_other"))
    known = known[known["view_one"] != known["view_other"]]
    return pd.concat([known, known])


# %% ex-01-views, right: another order of rows and columns
def view_conflicts(one, other):
    views = other.set_index("image_id")["view"]
    known = one.assign(view_other=one["image_id"].map(views)).dropna(subset="view_other")
    known = known[known["view"] != known["view_other"]].rename(columns={"view": "view_one"})
    return known[["view_other", "view_one", "image_id"]].iloc[::-1].reset_index(drop=True)


# %% ex-01-split, wrong: each study by itself
def split_together(texts, test_share, seed):
    chosen = np.random.default_rng(seed).permutation(len(texts)) < int(test_share * len(texts))
    return list(np.where(chosen, "test", "train"))


# %% ex-01-split, wrong: equal letter by letter
def split_together(texts, test_share, seed):
    rng, left, part = np.random.default_rng(seed), int(test_share * len(texts)), {}
    counts = pd.Series(texts).value_counts()
    for text in rng.permutation(counts.index):
        part[text] = "test" if counts[text] <= left else "train"
        left -= counts[text] * (part[text] == "test")
    return [part[text] for text in texts]


# %% ex-01-split, wrong: a share of the different texts
def split_together(texts, test_share, seed):
    keys = [splits.normalise_text(text) for text in texts]
    different = np.random.default_rng(seed).permutation(sorted(set(keys)))
    test = set(different[: int(test_share * len(different)) // 2])
    return ["test" if key in test else "train" for key in keys]


# %% ex-01-split, wrong: the seed is not used
def split_together(texts, test_share, seed):
    keys = [splits.normalise_text(text) for text in texts]
    left, part = int(test_share * len(texts)), {}
    for key, count in pd.Series(keys).value_counts().sort_index().items():
        part[key] = "test" if count <= left else "train"
        left -= count * (part[key] == "test")
    return [part[key] for key in keys]


# %% ex-01-split, wrong: another split at every call
def split_together(texts, test_share, seed):
    keys = [splits.normalise_text(text) for text in texts]
    counts = pd.Series(keys).value_counts()
    left, part = int(test_share * len(texts)), {}
    for key in np.random.default_rng().permutation(counts.index):
        part[key] = "test" if counts[key] <= left else "train"
        left -= counts[key] * (part[key] == "test")
    return [part[key] for key in keys]


# %% ex-01-split, wrong: booleans
def split_together(texts, test_share, seed):
    keys = [splits.normalise_text(text) for text in texts]
    first = np.random.default_rng(seed).choice(keys)
    return [key == first for key in keys]


# %% ex-01-split, right: an array, and the largest groups first
def split_together(texts, test_share, seed):
    keys = pd.Series([splits.normalise_text(text) for text in texts])
    counts = keys.value_counts()
    counts = counts.sample(frac=1, random_state=seed).sort_values(ascending=False, kind="stable")
    left, part = int(test_share * len(texts)), {}
    for key, count in counts.items():
        part[key] = "test" if count <= left else "train"
        left -= count * (part[key] == "test")
    return keys.map(part).to_numpy()


# %% ex-01-near, wrong: above the threshold
def near_ceiling(texts, threshold):
    sets = [set(splits.normalise_text(text).split()) for text in texts]
    counts = [max(1, sum(len(a & b) > threshold * len(a | b) + 1e-9 for b in sets)) for a in sets]
    return np.mean(1 / np.array(counts))


# %% ex-01-near, wrong: Dice's similarity
def near_ceiling(texts, threshold):
    sets = [set(splits.normalise_text(text).split()) for text in texts]
    similar = [[2 * len(a & b) >= threshold * (len(a) + len(b)) - 1e-9 for b in sets] for a in sets]
    return np.mean(1 / np.sum(similar, axis=1))


# %% ex-01-near, wrong: words that stand twice count twice
def near_ceiling(texts, threshold):
    from collections import Counter

    bags = [Counter(splits.normalise_text(text).split()) for text in texts]
    similar = [[(a & b).total() >= threshold * (a | b).total() - 1e-9 for b in bags] for a in bags]
    return np.mean(1 / np.sum(similar, axis=1))


# %% ex-01-near, wrong: the texts as they are written
def near_ceiling(texts, threshold):
    sets = [set(text.split()) for text in texts]
    similar = [[len(a & b) >= threshold * len(a | b) - 1e-9 for b in sets] for a in sets]
    return np.mean(1 / np.sum(similar, axis=1))


# %% ex-01-near, wrong: one over the mean
def near_ceiling(texts, threshold):
    sets = [set(splits.normalise_text(text).split()) for text in texts]
    similar = [[len(a & b) >= threshold * len(a | b) - 1e-9 for b in sets] for a in sets]
    return 1 / np.mean(np.sum(similar, axis=1))


# %% ex-01-near, right: whole numbers
def near_ceiling(texts, threshold):
    words = [splits.normalise_text(text).split() for text in texts]
    column = {word: i for i, word in enumerate(sorted({w for each in words for w in each}))}
    table = np.zeros((len(texts), len(column)), dtype=np.int32)
    for row, each in enumerate(words):
        table[row, [column[word] for word in each]] = 1
    shared = table @ table.T
    union = table.sum(axis=1)[:, None] + table.sum(axis=1) - shared
    return np.mean(1 / (shared >= threshold * union - 1e-9).sum(axis=1))
