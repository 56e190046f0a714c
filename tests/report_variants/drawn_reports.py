"""Texts and reports drawn by hypothesis, and real ones of Open-I, for the rules to be tried on."""

import re
from collections import Counter
from functools import cache

from hypothesis import strategies as st

from cxr_mtl.data.openi import read_reports
from cxr_mtl.report_variants.abbreviations import abbreviations
from cxr_mtl.report_variants.sentences import closed, numbered, split_sentences

_WORDS = re.split(
    r"\|",
    "No|There is|There are|The|the|a|an|heart|size|is|are|normal|in|lungs|clear|left|right|pleural"
    "|effusion|effusions|pneumothorax|or|and|small|mild|large|upper|lower|lobe|opacity|without"
    "|evidence of|acute|disease|1.|2.|.|,|;|XXXX|Dr.|3.5 cm|22 x 14 mm|PICC|tip|SVC|with|on the"
    "|seen|Stable|cardiomegaly|This|It|no|upper limits of normal|Chest.|enlarged|bilateral|may|be"
    "|nodule|Negative for|absent|not|\n|/|pacemaker|w/|.No|degenerative changes",
)
_PIECES = [*_WORDS, *(row.short for row in abbreviations()), *(row.long for row in abbreviations())]

TEXTS = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=25).map(" ".join),
    st.lists(st.sampled_from(_PIECES), max_size=12).map("".join),
    st.text(max_size=80),
)
"""Texts: of words of reports in any order, and of any characters."""


@cache
def real_reports(step: int = 20) -> tuple[tuple[str, str], ...]:
    """Findings and impression of every so many reports of Open-I, those without text left out."""
    reports, _ = read_reports()
    pairs = zip(reports["findings"], reports["impression"], strict=True)
    return tuple(pair for pair in list(pairs)[::step] if "".join(pair).strip())


def _real_sections() -> st.SearchStrategy[str]:
    sections = [section for pair in real_reports() for section in pair]
    sentences = sorted({sentence for section in sections for sentence in sentence_counts(section)})
    return st.lists(st.sampled_from(sentences), max_size=8).map(" ".join)


REAL_SECTIONS = st.deferred(_real_sections)
"""Sections of real sentences, of any reports in any order."""


def sentence_counts(text: str) -> Counter[str]:
    """How often each sentence stands in a text, without list numbers, closed by a full stop."""
    return Counter(closed(numbered(sentence)[1]) for sentence in split_sentences(text))
