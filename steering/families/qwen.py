"""Qwen2 (also 2.5) with biases on q, k, v; Qwen3 with a norm on each query and key head instead.

Qwen3's head_dim is its own (128), not hidden / heads. Small ones tie the LM head to the embeddings. Sliding windows
are off unless use_sliding_window says otherwise.
"""

from steering.families.family import Family

QWEN2 = Family("qwen2", "Qwen2, Qwen2.5", qkv_bias=True)
QWEN3 = Family("qwen3", "Qwen3", head_norms=2)
