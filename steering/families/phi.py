"""Phi-1, Phi-1.5 and Phi-2: attention and feed-forward side by side, LayerNorm, biases everywhere."""

from steering.families.family import Family

PHI = Family(
    "phi",
    "Phi-1, Phi-1.5, Phi-2",
    attention=("q_proj", "k_proj", "v_proj", "dense"),
    feed_forward=("fc1", "fc2"),
    qkv_bias=True,
    output_bias=True,
    feed_forward_bias=True,
    head_bias=True,
    final_norms=2,
)
