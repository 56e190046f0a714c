"""A few studies that show what a dataset looks like."""

import pandas as pd

SHOWN_FINDINGS = (
    "Cardiomegaly",
    "Pleural Effusion",
    "Calcified Granuloma",
    "Pulmonary Atelectasis",
    "Pneumothorax",
    "Opacity",
    "Nodule",
    "Scoliosis",
    "Emphysema",
    "Catheters, Indwelling",
    "Implanted Medical Device",
    "Hernia, Hiatal",
    "Airspace Disease",
    "Pulmonary Edema",
    "Fractures, Bone",
)


def showcase_studies(studies: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A normal study and, per common finding, the study with the fewest other codes.

    Adds the column `caption`: study and MeSH codes, or the beginning of the text where a dataset
    has no codes; such a dataset is shown by 12 studies drawn at random.
    """
    if "mesh_major" not in studies:
        chosen = studies.sample(min(12, len(studies)), random_state=seed)
        return chosen.assign(caption=[text[:60] for text in chosen["text"]])
    shuffled = studies.sample(frac=1, random_state=seed)
    fewest_first = shuffled.iloc[shuffled["mesh_major"].str.len().argsort(kind="stable")]
    rows = [fewest_first[fewest_first["label"] == 0].index[0]]
    for finding in SHOWN_FINDINGS:
        named = [any(c.split("/")[0] == finding for c in m) for m in fewest_first["mesh_major"]]
        rows += [row for row in fewest_first.index[named][:1] if row not in rows]
    chosen = studies.loc[rows]
    return chosen.assign(caption=chosen.apply(_caption, axis=1))


def _caption(study: pd.Series) -> str:
    codes = [code.replace("/", ", ", 1).replace("/", " ") for code in study["mesh_major"][:2]]
    more = len(study["mesh_major"]) - len(codes)
    lines = [f"study {study['study']}", *codes, *([f"and {more} more"] if more > 0 else [])]
    return "\n".join(line if len(line) < 42 else line[:40] + "…" for line in lines)
