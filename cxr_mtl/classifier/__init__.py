"""The fusion head as a classifier: its threshold, metrics with intervals, and subgroups.

>>> from cxr_mtl.classifier import choose_threshold
>>> choose_threshold([0.1, 0.2, 0.8, 0.9], labels=[0, 0, 1, 1])
0.5
"""

from cxr_mtl.classifier.evaluation import classifier_records, logits_of
from cxr_mtl.classifier.subgroups import report_groups
from cxr_mtl.classifier.thresholds import choose_threshold, youden_by_choice

__all__ = [
    "choose_threshold",
    "classifier_records",
    "logits_of",
    "report_groups",
    "youden_by_choice",
]
