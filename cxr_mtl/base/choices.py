"""Choices between words that chapters declare as types of their parameters, and functions take.

A chapter's parameters cell names them, for papermill's inspector reads no `Literal`.
"""

from typing import Literal

DatasetName = Literal["phantom", "openi", "pairs"]
"""Where images and reports come from."""

Deidentification = Literal["keep", "mask", "remove"]
"""What becomes of the marks `XXXX`, which stand where names and dates were removed."""

DeviceName = Literal["auto", "cpu", "cuda"]
"""Where models are computed; `auto` takes the GPU when there is one."""

Duplicates = Literal["ignore", "together"]
"""Whether equal reports, and equal pictures, may lie in several parts of a split."""

LabelRule = Literal["mesh-normal", "mesh-normal+no-indexing", "drop-no-indexing"]
"""Which MeSH indexing makes a study normal."""

Precision = Literal["float32", "bfloat16"]
"""The number format of features, or of training."""

Sections = Literal["findings+impression", "findings", "impression"]
"""Which sections of a report make the text."""

ViewSource = Literal["dicom", "tsne", "dicom+tsne", "projections"]
"""What says which image of a study is frontal."""
