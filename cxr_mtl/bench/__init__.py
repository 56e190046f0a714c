"""Measurements of speed and memory, and what a study costs in theory.

What one block of a ViT-B/16 multiplies for an image, with every token as a query and with one:

>>> from cxr_mtl.bench import block_multiply_adds
>>> counts = block_multiply_adds(tokens=197, width=768, heads=12)
>>> counts["every token is a query"] // counts["one query, no keys or values"]
135
"""

from cxr_mtl.bench.costs import block_multiply_adds
from cxr_mtl.bench.runner import run_benchmarks

__all__ = [
    "block_multiply_adds",
    "run_benchmarks",
]
