"""Ablations: variants of one training, trained and compared with it.

>>> from cxr_mtl.ablations import list_variants
>>> from cxr_mtl.training import TrainingConfig
>>> made = list_variants(TrainingConfig(seed=0), unfrozen_blocks=1, seeds=3, depths=())
>>> [variant.name for variant in made if variant.group == "seed"]
['seed 1', 'seed 2']
"""

from cxr_mtl.ablations.evaluation import variant_records
from cxr_mtl.ablations.training_runs import run_variants
from cxr_mtl.ablations.variants import list_variants

__all__ = [
    "list_variants",
    "run_variants",
    "variant_records",
]
