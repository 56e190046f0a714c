"""Variants of reports, made by rules: of equal content in another form, or with exactly one error.

Rules that write and the reader that checks them share no table. What a rule is not sure of it
leaves alone, and a report in which it finds nothing gives None:

>>> import random
>>> from cxr_mtl.report_variants import equal_variant, erroneous
>>> report = "The heart is normal in size. Small left pleural effusion.", "Left pleural effusion."
>>> equal_variant(*report, "telegraphic", random.Random(0))
'Heart normal in size. Small left pleural effusion. Left pleural effusion.'
>>> erroneous(*report, "location", random.Random(0))
'Right pleural effusion.'
>>> erroneous(*report, "measurement", random.Random(0)) is None
True
"""

from cxr_mtl.report_variants.abbreviations import abbreviated, abbreviations, expanded
from cxr_mtl.report_variants.equal_variants import EQUAL_VARIANTS, EqualVariant, equal_variant
from cxr_mtl.report_variants.error_variants import ERROR_CLASSES, ErrorClass, erroneous
from cxr_mtl.report_variants.finding_reader import Finding, read_findings
from cxr_mtl.report_variants.honesty import honesty_records
from cxr_mtl.report_variants.report_parts import anatomical_parts, halves
from cxr_mtl.report_variants.sentences import join_sentences, split_sentences

__all__ = [
    "EQUAL_VARIANTS",
    "ERROR_CLASSES",
    "EqualVariant",
    "ErrorClass",
    "Finding",
    "abbreviated",
    "abbreviations",
    "anatomical_parts",
    "equal_variant",
    "erroneous",
    "expanded",
    "halves",
    "honesty_records",
    "join_sentences",
    "read_findings",
    "split_sentences",
]
