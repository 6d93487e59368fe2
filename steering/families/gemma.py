"""Gemma, and Gemma 2 with a norm behind each half of the layer too."""

from steering.families.family import Family

GEMMA = Family("gemma", "Gemma")
GEMMA2 = Family("gemma2", "Gemma 2", layer_norms=4)
