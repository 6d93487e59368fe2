"""Llama and what shares its layers: Vicuna, TinyLlama, SmolLM."""

from steering.families.family import Family

LLAMA = Family("llama", "Llama, Vicuna, TinyLlama, SmolLM")
