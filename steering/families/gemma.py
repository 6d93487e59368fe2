"""Gemma, and Gemma 2 with a norm behind each half of the layer too.

Norms multiply by 1 + weight, a word is scaled by sqrt(hidden) where it is looked up (visual tokens, spliced in behind
that, are not: see steering.model.language.words_of), and the LM head is tied to the embeddings. Gemma 2 also caps
attention scores and logits (attn_logit_softcapping 50, final_logit_softcapping 30), which rules out "sdpa", divides
scores by the root of query_pre_attn_scalar, and sees 4,096 positions in every other layer.
"""

from steering.families.family import Family

GEMMA = Family("gemma", "Gemma")
GEMMA2 = Family("gemma2", "Gemma 2", layer_norms=4)
