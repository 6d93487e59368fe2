"""Visual instruction tuning by representation steering: the library under the pipeline."""

__version__ = "0.1.0"
