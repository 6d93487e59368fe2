"""What is particular about a family of language models: the names and shapes of its linears, its biases and norms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A family by transformers' `model_type`; free of torch, so that a plan can count what a model weighs.

    about: the models it is known for.
    attention, feed_forward: the linears' names, in the order q, k, v, output and (gate,) up, down.
    qkv_bias, output_bias, feed_forward_bias, head_bias: which linears carry a bias.
    layer_norms, final_norms: vectors as wide as the model, per decoder layer and after the last.
    head_norms: vectors as wide as one head, per decoder layer.
    """

    model_type: str
    about: str
    attention: tuple[str, str, str, str] = ("q_proj", "k_proj", "v_proj", "o_proj")
    feed_forward: tuple[str, ...] = ("gate_proj", "up_proj", "down_proj")
    qkv_bias: bool = False
    output_bias: bool = False
    feed_forward_bias: bool = False
    head_bias: bool = False
    layer_norms: int = 2
    final_norms: int = 1
    head_norms: int = 0

    @property
    def biased(self) -> frozenset[str]:
        """The linears of a decoder layer that carry a bias."""
        qkv, output = self.attention[:3], self.attention[3:]
        chosen = ((self.qkv_bias, qkv), (self.output_bias, output), (self.feed_forward_bias, self.feed_forward))
        return frozenset(name for has, names in chosen if has for name in names)
