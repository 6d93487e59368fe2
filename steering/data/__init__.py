"""From named sources to official-format files, picture archives and batches."""
