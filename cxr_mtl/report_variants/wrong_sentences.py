"""A sentence with one error in it: another severity, side or size, a finding denied, the opposite.

Every function takes a sentence's words, without list number and full stop, and returns the wrong
sentence, or None where its rules are not sure that the result contradicts what the sentence says.
"""

import random
import re

from cxr_mtl.report_variants.sentences import capitalised, put_in_place

_DENIED = re.compile(
    r"\b(?:no|not|without|negative|free of|clear of|absent|resol\w+|removal|removed|cannot)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:may|might|could|possibl[ey]|probabl[ey]|question\w*|versus|vs|suggest\w*|suspected"
    r"|differential|unclear|likely|or)\b",
    re.IGNORECASE,
)
_FINDING = re.compile(
    r"\b(?:cardiomegaly|enlarge\w*|effusions?|\w*pneumothora\w+|pneumonia|consolidation|atelectasis"
    r"|edema|infiltrates?|opacit(?:y|ies)|air ?space disease|nodul(?:es?|ar)|mass|fractures?"
    r"|emphysema\w*|granulomas?|scar(?:ring|s)?|hernia|thickening|congestion|\w*scoliosis|kyphosis"
    r"|degenerative|osteophytes?|spondylosis|blunting|calcifi\w+|tortuo\w+|ectasia|ectatic"
    r"|atherosclero\w+|elevation|hyper(?:inflat|expan)\w+|hypo(?:inflat|expan)\w+"
    r"|deformity|markings|prominen\w+|curvature)\b",
    re.IGNORECASE,
)
_SEVERITY = {
    "mild": "severe",
    "minimal": "marked",
    "slight": "marked",
    "subtle": "marked",
    "small": "large",
    "tiny": "large",
    "trace": "large",
    "moderate": "minimal",
    "large": "small",
    "severe": "mild",
    "marked": "minimal",
    "massive": "tiny",
    "mildly": "severely",
    "minimally": "markedly",
    "slightly": "markedly",
    "moderately": "minimally",
    "severely": "mildly",
    "markedly": "minimally",
}
_SEVERITY_WORD = re.compile(
    rf"(?<![\w-])(?<!to )(?:{'|'.join(_SEVERITY)})(?![\w-])(?! (?:to|bowel|airways?|or|and)\b)",
    re.IGNORECASE,
)
_LOCATION = {
    "right": "left",
    "left": "right",
    "right-sided": "left-sided",
    "left-sided": "right-sided",
    "bibasilar": "biapical",
    "bibasal": "biapical",
    "biapical": "bibasilar",
    "upper": "lower",
    "lower": "upper",
    "middle": "upper",
}
# The left lung has no middle lobe, so that the side of one cannot be another.
_SIDE = re.compile(
    r"(?<![\w-])(?:left|right)(?:-sided)?(?![\w-])"
    r"(?! (?:middle|atri\w+|ventric\w+|heart|paratracheal|lateral decub\w+))",
    re.IGNORECASE,
)
_LOBE = re.compile(r"(?<![\w-])(?:upper|middle|lower)(?= lobes?\b)", re.IGNORECASE)
_BOTH_LUNGS = re.compile(r"(?<![\w-])(?:bibasilar|bibasal|biapical)(?![\w-])", re.IGNORECASE)
_DEVICE = re.compile(
    r"\b(?:catheters?|tubes?|lines?|PICC|ports?|pacemakers?|pacer|ICD|AICD|leads?|tips?|clips"
    r"|stents?|sternotomy|prosthe\w+|arthroplasty|tracheostomy|defibrillators?)\b",
    re.IGNORECASE,
)
_SIZE = re.compile(
    r"(?<![\d.x/])(?<!x )(?P<number>\d+(?:\.\d+)?)"
    r"(?P<rest>(?: ?x ?\d+(?:\.\d+)?)? ?(?:mm|cm|millimeters?|centimeters?)\b)"
)
_NOUN = (
    r"(?:cardiomegaly|(?:pleural )?effusions?|pneumothorax|pneumonia|consolidations?|atelectasis"
    r"|(?:pulmonary |interstitial |pulmonary interstitial )?edema|infiltrates?|opacity|opacities"
    r"|air ?space disease|nodules?|mass|fractures?|emphysema|granulomas?|scarring|hiatal hernia"
    r"|pleural thickening|(?:pulmonary )?vascular congestion|scoliosis|degenerative changes?)"
)
_QUALITY = (
    r"(?:mild|moderate|severe|small|large|minimal|tiny|trace|slight|stable|unchanged|persistent"
    r"|chronic|old|patchy|streaky|focal|calcified|scattered|subsegmental|recurrent|increased|acute"
    r"|diffuse|marked|borderline|early|multiple|residual|subtle|prominent|XXXX)"
)
_WHERE = (
    r"(?:(?:left|right|bilateral|bibasilar|basilar|lower|upper|middle|lobe|pleural|lung|base"
    r"|apical|rib|thoracic|perihilar|left-sided|right-sided) )"
)
_STATED = re.compile(
    rf"(?:There (?:is|are) )?(?:an? )?(?:{_QUALITY},? )*(?P<where>{_WHERE}*)(?P<noun>{_NOUN})"
    r"(?P<place> (?:in|of|at|within|involving) the [\w ]+?)?"
    r"(?: (?:is|are) (?:present|noted|seen|identified))?",
    re.IGNORECASE,
)
_LARGE_HEART = re.compile(
    r"(?P<heart>(?:The )?(?:heart|cardiac silhouette|cardiomediastinal silhouette)(?: size)?)"
    r" (?P<be>is|remains|appears)"
    r" (?:(?:mildly|moderately|severely|markedly|slightly|again|stably) )*"
    r"enlarged",
    re.IGNORECASE,
)
_OPPOSITES = (
    (r"(There (?:is|are)) no ((?:evidence|acute|active|focal)\b.+)", r"\1 \2"),
    (r"No ((?:evidence|radiographic evidence|acute|active|focal)\b.+)", r"\1"),
    (r"Negative for (.+)", r"Positive for \1"),
    (r"(.+) without ((?:evidence of )?(?:acute|active) .+)", r"\1 with \2"),
    (
        r"(.+?) (is|are) (normal|clear|unremarkable|intact|within normal limits)\b(.*)",
        r"\1 \2 not \3\4",
    ),
    (r"(The )?(heart|heart size|cardiomediastinal silhouette) normal\b(.*)", r"\1\2 abnormal\3"),
    (r"(The )?lungs clear\b(.*)", r"\1Lungs not clear\2"),
    (r"(?:Well-expanded and )?clear lungs\b(.*)", r"The lungs are not clear\1"),
    (r"normal (chest\b.*|heart\b.*|exam\w*\b.*|cardiomediastinal .*)", r"Abnormal \1"),
    (r"Negative (chest|exam\w*)\b(.*)", r"Abnormal \1\2"),
)


def other_severity(body: str, rng: random.Random) -> str | None:
    """The sentence with one severity turned to the other end: mild, severe; large, small."""
    found = list(_SEVERITY_WORD.finditer(body))
    found = [word for word in found if _FINDING.search(body, word.end(), word.end() + 60)]
    if not found or _DENIED.search(body):
        return None
    word = rng.choice(found)
    return put_in_place(body, word, _SEVERITY[word.group().lower()])


def other_location(body: str, rng: random.Random) -> str | None:
    """The sentence with its finding on the other side, in another lobe, or at the other end.

    Sentences on devices are left to `device_errors`; one that names both sides is left as it is.
    """
    if _DENIED.search(body) or _DEVICE.search(body) or not _FINDING.search(body):
        return None
    sides, lobes = list(_SIDE.finditer(body)), list(_LOBE.finditer(body))
    if len(sides) > 1 or len(lobes) > 1 or re.search(r"\b(?:both|bilateral)", body, re.IGNORECASE):
        return None
    found = [*sides, *lobes, *_BOTH_LUNGS.finditer(body)]
    if not found:
        return None
    word = rng.choice(found)
    return put_in_place(body, word, _LOCATION[word.group().lower()])


def other_size(body: str, rng: random.Random) -> str | None:
    """The sentence with one of its sizes doubled, trebled or halved."""
    found = list(_SIZE.finditer(body))
    if not found:
        return None
    size = rng.choice(found)
    number = float(size["number"]) * rng.choice((0.5, 2, 3))
    if number == float(size["number"]):
        return None
    written = f"{number:.10g}"
    return body[: size.start()] + written + size["rest"] + body[size.end() :]


def denied(body: str, rng: random.Random) -> str | None:
    """The denial of a finding that the sentence states: "Small effusion" gives "No effusion"."""
    if _DENIED.search(body) or _UNSURE.search(body):
        return None
    heart = _LARGE_HEART.fullmatch(body)
    if heart:
        return f"{heart['heart']} {heart['be']} not enlarged"
    stated = _STATED.fullmatch(body)
    if stated is None:
        return None
    return f"No {stated['where'].lower()}{stated['noun'].lower()}{stated['place'] or ''}"


def opposite(body: str, rng: random.Random) -> str | None:
    """The opposite of a sentence that says that all is normal: "The lungs are not clear"."""
    if re.search(
        r"\b(?:but|change|changes|other|otherwise|limits of normal)\b", body, re.IGNORECASE
    ):
        return None
    for pattern, otherwise in _OPPOSITES:
        found = re.fullmatch(pattern, body, re.IGNORECASE)
        if found:
            return capitalised(found.expand(otherwise).strip())
    return None
