"""A few studies that show what a dataset looks like."""

import textwrap
from collections import Counter
from html import unescape

import pandas as pd

from cxr_mtl.data.openi import NORMAL, NOT_INDEXED

WITHOUT_CODES = 12
CAPTION_WIDTH = 26


def showcase_studies(studies: pd.DataFrame, seed: int, headings: int = 19) -> pd.DataFrame:
    """A normal study and, per frequent MeSH heading, the study with the fewest other codes.

    Adds the column `caption`: study, the code shown and the beginning of the impression. A
    dataset without codes is shown by 12 studies drawn at random and the beginning of their text.
    """
    shuffled = studies.sample(frac=1, random_state=seed)
    if "mesh_major" not in studies:
        chosen = shuffled.head(WITHOUT_CODES)
        return chosen.assign(caption=[_wrapped(text, 2) for text in chosen["text"]])
    fewest_first = shuffled.iloc[shuffled["mesh_major"].str.len().argsort(kind="stable")]
    first_with: dict[str, tuple[int, str]] = {}
    frequency: Counter[str] = Counter()
    for row, codes in fewest_first["mesh_major"].items():
        for code in codes:
            heading = code.split("/")[0]
            frequency[heading] += 1
            first_with.setdefault(heading, (row, code))
    normal = first_with.pop(NORMAL, None)
    first_with.pop(NOT_INDEXED, None)
    frequent = [heading for heading, _ in frequency.most_common() if heading in first_with]
    shown = [*([normal] if normal else []), *(first_with[h] for h in frequent[:headings])]
    chosen = studies.loc[[row for row, _ in shown]]
    captions = [
        f"{_wrapped(code.replace('/', ', '), 2)}\nstudy {study}\n{_wrapped(impression, 2)}"
        for (_, code), study, impression in zip(
            shown, chosen["study"], chosen["impression"].map(unescape), strict=True
        )
    ]
    return chosen.assign(caption=captions)


def _wrapped(text: str, lines: int) -> str:
    return "\n".join(textwrap.wrap(text, CAPTION_WIDTH, max_lines=lines, placeholder=" …"))
