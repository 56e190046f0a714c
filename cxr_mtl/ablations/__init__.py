"""Ablations: variants of one training, trained and compared with it.

The best of several models leads their mean on the queries that chose it, by luck if nothing else:

>>> import numpy as np
>>> from cxr_mtl.ablations import lead_of_the_best
>>> equal = np.random.default_rng(0).random((5, 40))
>>> lead = lead_of_the_best(equal, seed=0)
>>> lead.seen > 0.02 > lead.kept_out
True
"""

from cxr_mtl.ablations.evaluation import variant_records
from cxr_mtl.ablations.split_half import lead_of_the_best
from cxr_mtl.ablations.training_runs import run_variants

__all__ = [
    "lead_of_the_best",
    "run_variants",
    "variant_records",
]
