"""Phi-1, Phi-1.5 and Phi-2: attention and feed-forward side by side, LayerNorm, biases everywhere.

The LM head has a bias too, and part of each head is rotated (partial_rotary_factor). Phi-2's config.json has
resid_pdrop 0.1, which steering.model.language.freeze switches off.
"""

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
