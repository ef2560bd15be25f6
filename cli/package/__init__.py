"""bertctl: from a folder of raw text to a fine-tuned BERT."""

__version__ = "0.1.0"
