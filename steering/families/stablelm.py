"""StableLM: Llama's linears under LayerNorm, whose biases count.

A quarter of each head is rotated (partial_rotary_factor). q, k and v have biases where use_qkv_bias says so (StableLM
2 1.6B). The layout of StableLM 2 12B (qk_layernorm, use_parallel_residual) has other norms than are counted here.
"""

from steering.families.family import Family

STABLELM = Family("stablelm", "StableLM 3B, StableLM 2", layer_norms=4, final_norms=2)
