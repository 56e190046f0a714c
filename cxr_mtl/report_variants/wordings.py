"""The same sentence in other words: short or full style, sides and negations said otherwise.

Every function takes a text and returns it reworded, or None where its rules find nothing that they
are sure of. A rule reads one sentence and leaves it as it is unless the whole sentence has the form
that the rule knows; what a rule cannot parse it does not touch.
"""

import re
from collections.abc import Callable

from cxr_mtl.report_variants.sentences import (
    capitalised,
    join_sentences,
    numbered,
    split_sentences,
    uncapitalised,
)

_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|may|might|can|could|would|should|will|do|does|appears?"
    r"|seems?|shows?|demonstrates?|represents?|suggests?|remains?|reveals?|measures?|contains?"
    r"|overl(?:y|ies)|projects?|terminates?|which|there)\b",
    re.IGNORECASE,
)
_STATES = (
    r"(?:(?:mildly|moderately|severely|slightly|grossly|normally|markedly|not|well|otherwise"
    r"|minimally|borderline) )?"
    r"(?:normal|clear|unremarkable|within normal limits|intact|midline|stable|enlarged|tortuous"
    r"|hyperexpanded|hyperinflated|hypoinflated|hypoexpanded|low|prominent|unchanged|calcified"
    r"|elevated|expanded|inflated|aerated|ectatic|upper limits of normal)"
)
_PLURAL = (
    r"lungs|lung volumes|mediastinal contours|cardiac contours|cardiomediastinal contours"
    r"|cardiac and mediastinal contours|(?:visualized )?osseous structures|bony structures"
    r"|pleural spaces|heart and mediastinum|heart and lungs|heart size and mediastinal contours?"
    r"|heart size and pulmonary vascularity|hemidiaphragms|soft tissues"
    r"|cardiac and mediastinal silhouettes|hilar contours"
)
_SINGULAR = (
    r"heart size|heart|cardiac silhouette|cardiomediastinal silhouette|mediastinum|aorta|trachea"
    r"|mediastinal contour|pulmonary vascularity|pulmonary vasculature|bony thorax|thoracic spine"
    r"|thoracic aorta|cardiac contour|cardiomediastinal contour|(?:left|right) lung"
)
_SEEN = r"(?:seen|identified|noted|present|demonstrated|visualized|appreciated|evident|detected)"
_NEGATED = (
    r"(?:focal |acute |large |small |suspicious |pulmonary |lung |airspace |air space |alveolar "
    r"|pleural |parenchymal |interstitial |left |right |bilateral |bony |osseous |displaced |rib )*"
    r"(?:pneumothora(?:x|ces)|effusions?|consolidations?|infiltrates?|opacity|opacities|edema"
    r"|pneumonia|nodules?|mass|masses|adenopathy|lymphadenopathy|fractures?|atelectasis"
    r"|airspace disease|air space disease|cardiomegaly|pleural fluid)"
)
_LIST = rf"{_NEGATED}(?:, (?:or |and )?{_NEGATED})*(?:,? (?:or|and) {_NEGATED})?"


def telegraphic(text: str) -> str | None:
    """The text in note style: "The heart is normal in size." becomes "Heart normal in size."."""
    return _by_sentence(text, _short_sentence)


def full_style(text: str) -> str | None:
    """The text in whole sentences: "Clear lungs." becomes "The lungs are clear."."""
    return _by_sentence(text, _whole_sentence)


def negations_reworded(text: str) -> str | None:
    """The text with negations said otherwise: "No effusion." becomes "Effusion is absent."."""
    return _by_sentence(text, _other_negation)


def _by_sentence(text: str, rule: Callable[[str], str | None]) -> str | None:
    """The text with the rule applied to each sentence, the list numbers kept; None unless changed.

    The rule takes a sentence without its number and its full stop.
    """
    changed, sentences = False, []
    for sentence in split_sentences(text):
        number, plain = numbered(sentence)
        body = re.sub(r"[\s.]*\.$", "", plain)
        reworded = rule(body) if body != plain else None
        if reworded is None or reworded == body:
            sentences.append(sentence)
        else:
            changed = True
            sentences.append(f"{number}{capitalised(reworded)}.")
    return join_sentences(sentences) if changed else None


def _short_sentence(body: str) -> str | None:
    there = re.fullmatch(r"There (?:is|are) (?:an? )?(.+)", body)
    if there:
        rest = there[1]
        lone = not _VERB.search(rest) and not re.match(
            r"(?:again|also|otherwise|however|now|been|not|still|redemonstrat|persist)", rest
        )
        return rest if lone else None
    seen = re.fullmatch(rf"(?:The )?(.+?) (?:is|are) {_SEEN}", body)
    if seen and not _VERB.search(seen[1]) and not re.match(r"(?:This|These|It|They)\b", body):
        return seen[1]
    state = re.fullmatch(rf"(?:The )?([\w -]+?) (?:is|are) ({_STATES}(?: [^;]+)?)", body)
    if (
        state
        and len(state[1].split()) <= 6
        and re.fullmatch(rf"{_PLURAL}|{_SINGULAR}", state[1], re.I)
    ):
        return None if _VERB.search(state[2]) else f"{state[1]} {state[2]}"
    return None


def _whole_sentence(body: str) -> str | None:
    if _VERB.search(body):
        return None
    known = rf"({_PLURAL})|({_SINGULAR})"
    after = re.fullmatch(rf"(?:{known}) ({_STATES}(?:,? [^;]+)?)", body, re.IGNORECASE)
    if after:
        be = "are" if after[1] else "is"
        return f"The {uncapitalised(after[1] or after[2])} {be} {after[3]}"
    before = re.fullmatch(rf"({_STATES}) (?:{known})", body, re.IGNORECASE)
    if before and " " not in before[1]:
        be = "are" if before[2] else "is"
        return f"The {before[2] or before[3]} {be} {uncapitalised(before[1])}"
    none = re.fullmatch(r"No ((?!other\b)[^,;]+)(, [^;]+)?", body)
    if none and not re.search(r"\b(?:but|except|although|though|however)\b", body):
        first = re.split(r",| or | and | of | in | to | on | within | at | since ", none[1])[0]
        plural = re.search(r"(?:[^sui]s|pneumothoraces|opacities)$", first.split(f" {_SEEN}")[0])
        return f"There {'are' if plural else 'is'} no {none[1]}{none[2] or ''}"
    return None


def _other_negation(body: str) -> str | None:
    none = re.fullmatch(
        rf"(?:There (?:is|are) )?no (?:evidence of )?({_LIST})(?: (?:is|are) {_SEEN}| {_SEEN})?",
        body,
        re.IGNORECASE,
    )
    if none:
        items = re.split(r",? (?:or|and) |, ", none[1])
        both = none[1] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
        plural = len(items) > 1 or re.search(r"(?:s|ces)$", re.sub("sis$|mass$", "", items[0]))
        return f"{both} {'are' if plural else 'is'} absent"
    negative = re.fullmatch(rf"Negative for ({_LIST})", body, re.IGNORECASE)
    if negative:
        return f"No {negative[1]}"
    reworded = body
    for pattern, otherwise in (
        (r"\bwithout (?:any )?evidence of\b", "with no evidence of"),
        (r"\bwith no evidence of\b", "without evidence of"),
        (rf"(?<!are )(?<!is )\bwithout ({_NEGATED})\b", r"with no \1"),
        (rf"\bwith no ({_NEGATED})\b", r"without \1"),
        (rf"\bare (?:free|clear) of (?:any )?({_NEGATED})\b", r"are without \1"),
    ):
        reworded, changes = re.subn(pattern, otherwise, reworded)
        if changes:
            return reworded
    return None
