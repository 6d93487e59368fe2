"""StableLM: Llama's linears under LayerNorm, whose biases count."""

from steering.families.family import Family

STABLELM = Family("stablelm", "StableLM 3B, StableLM 2", layer_norms=4, final_norms=2)
