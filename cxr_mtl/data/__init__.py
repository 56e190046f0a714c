"""From a collection to a study table: one image, one text and one label a study, and its split.

The reports of Open-I come with the installed package torchxrayvision; images are the reader's.

>>> from cxr_mtl.data import report_text
>>> report_text("The lungs are  clear.", "No acute disease.", "findings+impression", "keep")
'The lungs are clear. No acute disease.'
"""

from cxr_mtl.data.dataset import assign_parts, load_dataset
from cxr_mtl.data.loaded import loading_records
from cxr_mtl.data.openi import read_reports
from cxr_mtl.data.splits import split_studies
from cxr_mtl.data.studies import label_of, report_text
from cxr_mtl.data.views import read_views

__all__ = [
    "assign_parts",
    "label_of",
    "load_dataset",
    "loading_records",
    "read_reports",
    "read_views",
    "report_text",
    "split_studies",
]
