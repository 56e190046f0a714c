"""Multi-task fine-tuning of BiomedCLIP for cross-modal chest X-ray retrieval."""

__version__ = "0.1.0"
