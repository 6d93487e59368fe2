"""What a training step costs before anything runs: FLOPs and peak memory, in closed form, free of torch.

P positions a step = conversations x (visual tokens behind the connector + text tokens), T of them in one sequence;
N weights of the decoder layers' linears; A what a method adds to them.

    FLOPs of a step = P (2 N + attention)              forward; attention = layers x 4 T x heads x head width
                    + P (2 N + 2 attention) x share    gradients of activations; share of the layers they pass through
                    + P 2 (trained weights)            gradients of weights: A, or N for full
                    + P 4 A                            A's own forward and gradients of activations
                    + the connector, and the vision encoder where it runs live, by the same rules

                    + P (2 N + attention) x share      once more, with gradient checkpointing

An edit is counted at every position though it acts at some, and the LM head is left out (it sees the supervised
positions only): about 1 % at the papers' sizes. Memory is that of one process: its pass of the step, and its part of
what DeepSpeed partitions.
"""

from __future__ import annotations

from collections.abc import Mapping

from steering.arms import LanguageShape, steered_layers
from steering.params import VisionEncoder
from steering.sizing import BYTES, FLOAT, Scene, block_parameters, encoder_parameters, feed_forward

ADAM = 2 * FLOAT
NF4 = 0.5 + 4 / 64
"""Bytes a weight: 4 bits, and one float32 scale for each 64 weights."""

LITE0_FLOPS = 2 * 407e6
"""EfficientNet-lite0 on a picture of 224 x 224."""

KEEPS_INPUTS = {"full", "lora", "oft", "ia3", "adapter"}
"""Methods inside the linears: the inputs of these are kept for the gradients of weights."""


def layer_weights(language: LanguageShape) -> int:
    """N: the weights of all linears in the decoder layers."""
    return language.layers * sum(inputs * outputs for inputs, outputs in language.linears.values())


def attention_flops(language: LanguageShape, length: int) -> int:
    """Of one position's forward pass: its query with *length* keys, its weights with as many values."""
    return language.layers * 4 * length * language.heads * language.head_width


def backward_share(scene: Scene) -> float:
    """The share of the decoder layers that gradients pass through, from the loss down to what is trained."""
    below = scene.live or scene.trainable_connector or getattr(scene.settings, "connector_rank", 0)
    if below or scene.method == "none":
        return 1.0 if below else 0.0
    if not hasattr(scene.settings, "layers"):
        return 1.0
    count = scene.model.shape.layers
    return 1 - steered_layers(scene.settings.layers, count)[0] / count


def step_flops(scene: Scene) -> int:
    """FLOPs of one training step; see the head of this file."""
    language, added = scene.model.shape, scene.added
    weights, attention = layer_weights(language), attention_flops(language, scene.length)
    back = (2 * weights + 2 * attention) * backward_share(scene)
    trained = weights if scene.method == "full" else added
    again = (2 * weights + attention) * backward_share(scene) if scene.engine.gradient_checkpointing else 0
    each = 2 * weights + attention + back + again + 2 * trained + 4 * added
    return round(scene.positions * each + scene.recipe.conversations * (_connector_flops(scene) + _vision_flops(scene)))


def _connector_flops(scene: Scene) -> float:
    passes = 1 + scene.live + bool(scene.trainable_connector)
    return 2 * scene.connector.parameters * scene.connector.tokens * passes


def _vision_flops(scene: Scene) -> float:
    if not scene.live:
        return 0.0
    return 2 * picture_flops(scene.encoder, scene.encoders) + 2 * scene.trainable_encoder * scene.encoder.tokens


def picture_flops(encoder: VisionEncoder, encoders: Mapping[str, VisionEncoder]) -> float:
    """FLOPs of one picture's forward pass through the vision encoder."""
    if encoder.kind == "efficientnet_lite0":
        return LITE0_FLOPS * (encoder.config.get("image_size", 224) / 224) ** 2
    if encoder.kind == "side_by_side":
        return sum(picture_flops(encoders[part], encoders) for part in encoder.parts)
    depth, hidden = encoder.config.get("num_hidden_layers", 0), encoder.config.get("hidden_size", encoder.width)
    return encoder.tokens * depth * (2 * block_parameters(encoder) + 4 * encoder.tokens * hidden)


def question_flops(scene: Scene) -> int:
    """FLOPs of reading one benchmark question with its picture; the few tokens of the answer are left out."""
    language = scene.model.shape
    each = 2 * layer_weights(language) + attention_flops(language, scene.length) + 2 * scene.added
    return round(scene.length * each + (picture_flops(scene.encoder, scene.encoders) if scene.live else 0))


def state_bytes(scene: Scene) -> int:
    """Weights, gradients and Adam's two moments; what is trained is float32, the rest has its own dtype."""
    language, full = scene.model.shape.parameters, scene.method == "full"
    frozen = FLOAT if full else BYTES[scene.model.dtype]
    base = language * frozen
    if scene.model.quantise and not full:
        base += layer_weights(scene.model.shape) * (NF4 - frozen)
    own = (0 if full else scene.trainable) * FLOAT + scene.connector.parameters * FLOAT
    vision = encoder_parameters(scene.encoder, scene.encoders) * FLOAT if scene.live else 0
    count, stage = scene.engine.processes, scene.engine.zero
    weights, gradients, moments = base + own + vision, scene.trainable_all * FLOAT, scene.trainable_all * ADAM
    held = [part / count if stage >= least else part for part, least in ((moments, 1), (gradients, 2), (weights, 3))]
    return round(sum(held))


def activation_bytes(scene: Scene) -> int:
    """What a forward pass keeps for the backward one; with checkpointing the layers' inputs, and one layer in full.

    A frozen linear keeps nothing; norms, attention and the feed-forward's nonlinearity keep what they read. Measured
    within 2 % on a Llama of 12 x 768 in float32 (533 and 702 MB without and with the linears' inputs).
    """
    language, share = scene.model.shape, backward_share(scene)
    gates = len(language.parts.feed_forward) - 1
    query, key = language.heads * language.head_width, language.kv_heads * language.head_width
    kept = 2 * language.hidden + 2 * query + 2 * key + (2 * gates - 1) * language.ffn
    kept += 2 * language.hidden + language.ffn if scene.method in KEEPS_INPUTS else 0
    each = kept * BYTES[scene.model.dtype]
    if scene.model.attention == "eager":
        each += language.heads * scene.length * (FLOAT + BYTES[scene.model.dtype])
    layers = share * language.layers * each
    if scene.engine.gradient_checkpointing:
        layers = share * language.layers * language.hidden * BYTES[scene.model.dtype] + each
    return round(scene.at_once * scene.length * layers + _vision_activations(scene))


def _vision_activations(scene: Scene) -> float:
    if not scene.live:
        return 0.0
    parts = [scene.encoder, *(scene.encoders[name] for name in scene.encoder.parts)]
    kept = sum(
        part.config.get("num_hidden_layers", 0) * part.tokens * (8 * part.width + 2 * feed_forward(part))
        for part in parts
    )
    return scene.at_once * kept * FLOAT


def peak_memory_bytes(scene: Scene) -> int:
    """State and activations of a process together."""
    return state_bytes(scene) + activation_bytes(scene)
