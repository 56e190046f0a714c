"""Multi-task fine-tuning of BiomedCLIP for cross-modal chest X-ray retrieval.

The packages, from low to high; each imports only from those above it in this list:

- `base`: errors, files, records, choices, processes, and what a chapter's code rests on
- `data`: from a collection to a study table and its split
- `report_variants`: reports in other words of equal content, or with one error
- `phantoms`: pictures drawn by a program
- `models`: backbones, the features of their frozen part, the last layer
- `retrieval`: index, protocols, metrics, maps
- `training`: losses, trainer, weight search
- `evidence`: intervals, tests, controls, the paper's tables
- `language`: language models as encoders of reports, and tasks without images
- `classifier`: the fusion head as a classifier
- `ablations`: variants of one training
- `runs`: the chapters executed with parameters, and what is fresh
- `figures`: plots
- `bench`: measurements of speed and memory
- `pages`: from executed chapters to the HTML book
- `explorer`: search for readers
"""

import warnings

# Without ipywidgets tqdm falls back to text, which is what notebooks here want.
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = "0.1.0"
