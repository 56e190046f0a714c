"""Impressions with exactly one error: hard negatives of nine classes for what a report says.

The classes are those of Ko et al., arXiv 2509.15234, 2025, who let a language model make them; here
rules do. An error stands where the impression says what can be told wrongly. Where only the
findings do, their sentence is told wrongly at the end of the impression, which then contradicts
the findings and is one sentence longer.
"""

import random
import re
from collections.abc import Callable
from typing import Literal, get_args

from cxr_mtl.base.errors import check_choice
from cxr_mtl.report_variants.device_errors import added_device, moved_device, renamed_device
from cxr_mtl.report_variants.equal_variants import check_report
from cxr_mtl.report_variants.report_parts import states_normality, whole_report
from cxr_mtl.report_variants.sentences import (
    capitalised,
    closed,
    join_sentences,
    numbered,
    split_sentences,
)
from cxr_mtl.report_variants.wrong_sentences import (
    denied,
    opposite,
    other_location,
    other_severity,
    other_size,
)

ErrorClass = Literal[
    "severity",
    "location",
    "false-prediction",
    "false-negation",
    "measurement",
    "opposite-sentence",
    "device-added",
    "device-renamed",
    "device-moved",
]
"""What is wrong in an impression."""

ERROR_CLASSES = get_args(ErrorClass)
"""Every error class."""

SentenceRule = Callable[[str, random.Random], str | None]
"""From a sentence's words, without number and full stop, to wrong ones, or None."""

_NEGATED = r"\b(?:no|without|negative for|free of|clear of|not|absent)\b"
_PREDICTED = {
    r"effusions?|pleural fluid|costophrenic": (
        "Small left pleural effusion",
        "Moderate right pleural effusion",
        "Small bilateral pleural effusions",
    ),
    r"pneumothora\w+": ("Small right apical pneumothorax", "Small left pneumothorax"),
    r"pneumonia|infiltrates?|consolidat\w+|opaci\w+|air ?space": (
        "Right lower lobe pneumonia",
        "Left lower lobe consolidation",
        "Patchy right upper lobe airspace opacity",
    ),
    r"edema|congestion|CHF|failure": (
        "Mild pulmonary edema",
        "Pulmonary vascular congestion with interstitial edema",
    ),
    r"cardiomegaly|enlarge\w*|borderline|upper limits|top normal": (
        "Moderate cardiomegaly",
        "Mild cardiomegaly",
    ),
    r"atelecta\w+|volume loss|collapse": ("Bibasilar atelectasis", "Left basilar atelectasis"),
    r"nodul\w+|mass\w*|lesions?|granuloma\w*": (
        "Left upper lobe nodule",
        "Right middle lobe nodule",
    ),
    r"fractures?": ("Acute left rib fracture", "Acute right rib fracture"),
}


def erroneous(
    findings: str, impression: str, error_class: ErrorClass, rng: random.Random
) -> str | None:
    """The impression with one error of a class; None where the rules find nothing to tell wrongly.

    One sentence differs from the impression's: it stands in the place of one, or is the last.
    Equal states of `rng` give equal texts.

    Raises:
        InputError: the error class is unknown, or the report has no text.
    """
    check_choice("error_class", error_class, ErrorClass)
    check_report(findings, impression)
    return _RULES[error_class](findings, impression, rng)


def false_prediction(findings: str, impression: str, rng: random.Random) -> str | None:
    """States a finding that the report denies, or else one that it does not name.

    It takes the place of a sentence of the impression that only states normality, if there is one.
    """
    sentences = split_sentences(whole_report(findings, impression))
    negated, unnamed = [], []
    for names, statements in _PREDICTED.items():
        naming = [s for s in sentences if re.search(rf"\b(?:{names})\b", s, re.IGNORECASE)]
        if not naming:
            unnamed.append(statements)
        elif all(re.search(rf"{_NEGATED}.*\b(?:{names})\b", s, re.IGNORECASE) for s in naming):
            negated.append(statements)
    if not negated and not unnamed:
        return None
    statement = rng.choice(rng.choice(negated or unnamed))
    own = split_sentences(impression)
    normal = [i for i, sentence in enumerate(own) if states_normality(sentence)]
    return _with_sentence(own, rng.choice(normal) if normal else None, statement)


def device_added(findings: str, impression: str, rng: random.Random) -> str | None:
    """States a device of a kind that the report does not name."""
    statement = added_device(whole_report(findings, impression), rng)
    return statement and _with_sentence(split_sentences(impression), None, statement)


def _told_wrongly(rule: SentenceRule) -> Callable[[str, str, random.Random], str | None]:
    """A rule on a sentence as a rule on a report: the impression's sentences first."""

    def tell(findings: str, impression: str, rng: random.Random) -> str | None:
        own, others = split_sentences(impression), split_sentences(findings)
        said = {_body(sentence).lower() for sentence in own + others}
        for sentences, appended in ((own, False), (others, True)):
            order = rng.sample(range(len(sentences)), len(sentences))
            for i in order:
                wrong = rule(_body(sentences[i]), rng)
                if wrong and not _is_said(wrong, said, sentences[i]):
                    return _with_sentence(own, None if appended else i, wrong)
        return None

    return tell


def _is_said(wrong: str, said: set[str], sentence: str) -> bool:
    """Whether the report says elsewhere what the wrong sentence says, so that it may be right."""
    if wrong.lower() in said:
        return True
    old, new = (set(re.findall(r"[a-z]+", text.lower())) for text in (_body(sentence), wrong))
    turned = new - old
    if not turned & {"left", "right", "upper", "lower"}:
        return False
    topics = {word for word in new & old if len(word) > 5}
    both = turned | {"bilateral", "bilaterally", "both", "bibasilar", "biapical"}
    others = (set(re.findall(r"[a-z]+", text)) for text in said - {_body(sentence).lower()})
    return any(words & topics and words & both for words in others)


def _with_sentence(own: list[str], place: int | None, body: str) -> str:
    """The sentences with a new one in a place, under the number of the old one, or at their end."""
    body = capitalised(body) + "."
    if place is None:
        return join_sentences([*own[:-1], *map(closed, own[-1:]), body])
    number = numbered(own[place])[0]
    return join_sentences([*own[:place], number + body, *own[place + 1 :]])


def _body(sentence: str) -> str:
    return re.sub(r"[\s.]*\.$", "", numbered(sentence)[1])


_RULES: dict[ErrorClass, Callable[[str, str, random.Random], str | None]] = {
    "severity": _told_wrongly(other_severity),
    "location": _told_wrongly(other_location),
    "false-prediction": false_prediction,
    "false-negation": _told_wrongly(denied),
    "measurement": _told_wrongly(other_size),
    "opposite-sentence": _told_wrongly(opposite),
    "device-added": device_added,
    "device-renamed": _told_wrongly(renamed_device),
    "device-moved": _told_wrongly(moved_device),
}
