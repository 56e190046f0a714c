"""What the numbers can bear: intervals, tests, controls, the paper's tables and how they are shown.

Whether two models differ is asked of the same queries:

>>> import numpy as np
>>> from cxr_mtl.evidence import Bootstrap, paired_test
>>> better = np.array([0.0, 1.0, 1.0, 1.0] * 50)
>>> Bootstrap(studies=200, seed=0).mean(better).low > 0.6
True
>>> paired_test(better, 1 - better, seed=0) < 0.001
True
"""

from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.result_display import metric_name, model_name, readable, results_table
from cxr_mtl.evidence.significance import compare_models, lead_of_the_best, paired_test
from cxr_mtl.evidence.tables import evaluate_tables

__all__ = [
    "Bootstrap",
    "compare_models",
    "evaluate_tables",
    "lead_of_the_best",
    "metric_name",
    "model_name",
    "paired_test",
    "readable",
    "results_table",
]
