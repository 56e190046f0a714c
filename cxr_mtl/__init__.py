"""Multi-task fine-tuning of BiomedCLIP for cross-modal chest X-ray retrieval."""

import warnings

# Without ipywidgets tqdm falls back to text, which is what notebooks here want.
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = "0.1.0"
