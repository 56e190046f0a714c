"""Parts of a report that say nothing the report does not: halves, anatomy, all but the normal."""

import re
from typing import Literal, get_args

from cxr_mtl.data.openi import DEIDENTIFIED
from cxr_mtl.report_variants.sentences import (
    blocks,
    closed,
    is_heading,
    join_sentences,
    numbered,
    split_sentences,
)

Anatomy = Literal["lungs", "heart and mediastinum", "bones", "devices"]
"""What the sentences of an anatomical part speak of."""

_SPEAKS_OF: dict[Anatomy, re.Pattern] = {
    "lungs": re.compile(
        r"\b(?:lungs?|pulmonary|pleura\w*|effusions?|pneumothora\w*|opaci\w+|consolidat\w+"
        r"|infiltrat\w+|air ?space|atelecta\w+|lobes?|nodules?|granulomas?|emphysem\w*|edema"
        r"|pneumonia\w*|interstitial|costophrenic|hyper(?:expan|infla)\w+|bronch\w+|COPD"
        r"|(?:bi)?bas(?:ilar|al)|(?:bi)?apical)\b",
        re.IGNORECASE,
    ),
    "heart and mediastinum": re.compile(
        r"\b(?:heart|cardiac|cardio\w*|mediastin\w+|aort\w+|hil(?:ar|um|a)|trachea\w*|silhouettes?)\b",
        re.IGNORECASE,
    ),
    "bones": re.compile(
        r"\b(?:osseous|bony|bones?|ribs?|spines?|spinal|vertebra\w*|fractures?|\w*scoliosis|skelet\w+"
        r"|degenerative|kyphosis|clavicles?|shoulders?|osteophytes?|spondylosis|thoracic disc)\b",
        re.IGNORECASE,
    ),
    "devices": re.compile(
        r"\b(?:catheters?|tubes?|PICC|ports?|port-a-cath|pacemakers?|ICD|AICD|defibrillators?|leads?"
        r"|clips|sternotomy|CABG|stents?|prosthe\w+|tracheostomy|hardware|central lines?)\b",
        re.IGNORECASE,
    ),
}
_NAMED = (
    r"(?:the|a|and|or|of|both|visualized|heart|size|shape|lungs?|cardiac|cardiomediastinal"
    r"|cardio|mediastin\w+|silhouettes?|contours?|pulmonary|vascul\w+|vessels|hilar|hila|aort\w+"
    r"|trachea|pleural|spaces?|bony|osseous|skeletal|structures?|thorax|thoracic|spine|soft|tissues?"
    r"|volumes|left|right|chest|hemidiaphragms?|diaphragms?|XXXX)"
)
_HEALTHY = (
    r"(?:(?:grossly|otherwise|normally|well|and) )*"
    r"(?:normal|unremarkable|clear|intact|midline|within normal limits|inflated|expanded|aerated)"
)
_TRAIL = (
    r"(?: (?:in|for|of|and|or|size|shape|contours?|configuration|appearance|caliber|bilaterally"
    r"|normal|clear|expanded|aerated|patient|age))*"
)
_NOTHING = re.compile(
    r"(?:There (?:is|are) )?(?:no|negative for)\b(?! (?:other|XXXX|further|new|large|definite))"
    r"(?!.*\b(?:change|comparison|but|except|although|though|however|with|other|exclude\w*|may|could"
    r"|prior|previous|interval|stable|mild\w*|minimal|superimposed|increase\w*|decrease\w*"
    r"|seen on|prominen\w+|calcif\w+|suspicious"
    r"|(?:is|are) (?!seen|identified|noted|present|demonstrated|visualized|appreciated|evident))\b)"
    r"[^:;]+",
    re.IGNORECASE,
)
_NORMAL = re.compile(
    rf"{_NAMED}(?:,? {_NAMED})*,? (?:(?:is|are|appears?|appear to be) )?{_HEALTHY}{_TRAIL}"
    rf"|(?:normal|clear|unremarkable|(?:well-expanded|normal) and clear)(?: {_NAMED})+"
    r"(?: bilaterally)?",
    re.IGNORECASE,
)


def whole_report(findings: str, impression: str) -> str:
    """Findings and impression as one text, the findings closed by a full stop."""
    return join_sentences([closed(findings), impression.strip()])


def impression_only(findings: str, impression: str) -> str | None:
    """The impression alone; None where it or the findings have no word."""
    return impression.strip() if _has_words(findings) and _has_words(impression) else None


def halves(findings: str, impression: str) -> tuple[str, str] | None:
    """The report cut in two of about the same length, where no sentence refers back over the cut.

    Returns None where it cannot be cut, or speaks of several parts of the body under headings.
    """
    text = whole_report(findings, impression)
    parts = blocks(text)
    if len(parts) < 2 or any(map(is_heading, split_sentences(text))):
        return None
    ends = [len(join_sentences(parts[:cut])) for cut in range(1, len(parts))]
    middle = len(join_sentences(parts)) / 2
    cut = min(range(1, len(parts)), key=lambda cut: abs(ends[cut - 1] - middle))
    return join_sentences(parts[:cut]), join_sentences(parts[cut:])


def normal_omitted(findings: str, impression: str) -> str | None:
    """The report without the sentences that only state normality; None if none or all do."""
    sentences = [numbered(s)[1] for s in split_sentences(whole_report(findings, impression))]
    if any(map(is_heading, sentences)):
        return None
    kept = [closed(sentence) for sentence in sentences if not states_normality(sentence)]
    kept = [sentence for sentence in kept if _has_words(sentence)]
    return join_sentences(kept) if 0 < len(kept) < len(sentences) else None


def states_normality(sentence: str) -> bool:
    """Whether a sentence says no more than that something is normal or that nothing is found."""
    body = re.sub(r"[\s.]*\.$", "", numbered(sentence)[1]).strip()
    return bool(_NORMAL.fullmatch(body) or _NOTHING.fullmatch(body))


def anatomical_parts(findings: str, impression: str) -> dict[Anatomy, str]:
    """The sentences on each part of the body, with those that refer back to them.

    A sentence that names two parts stands in both, one that names none in no part; parts without
    a sentence are left out. There is none where headings part the report.
    """
    text = whole_report(findings, impression)
    parts = [] if any(map(is_heading, split_sentences(text))) else blocks(text)
    chosen = {
        anatomy: [part for part in parts if _SPEAKS_OF[anatomy].search(part)]
        for anatomy in get_args(Anatomy)
    }
    return {anatomy: join_sentences(kept) for anatomy, kept in chosen.items() if kept}


def _has_words(text: str) -> bool:
    return bool(re.search(r"[A-Za-z]{2}", text.replace(DEIDENTIFIED, "")))
