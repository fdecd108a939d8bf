"""A small Transformer policy with a leading ensemble axis, for spaces whose states are slots of
words.

Its tokens are BOS and the L slots of a state, each a word or empty; all members go through every
layer together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from divergence_lab.gflownet.policies.policy import Heads, Parameters, Policy
from divergence_lab.graphs.generated import GeneratedDAG, Space, on_device
from divergence_lab.inputs import InputError

Drop = Callable[[Tensor], Tensor]
LEVELS = 2**16  # of one random number of a dropout mask


class NotWordsError(InputError):
    """The space is not made of slots of words; the message says what to do."""


def transformer(
    space: Space,
    *,
    heads: Heads | None = None,
    width: int = 64,
    depth: int = 3,
    n_heads: int = 8,
    hidden: int = 64,
    dropout: float = 0.0,
    stop_logit: float = 0.0,
    initial_log_z: float = 0.0,
    initial_log_flow: float = 0.0,
) -> Policy[GeneratedDAG]:
    """torch.nn.TransformerEncoder on BOS and the slots, ReLU, normalised after each sum, with
    sinusoidal positions.

    The logit of filling slot i with the word w is p_i + u_iw: p_i and log F are read from BOS, u_iw
    from slot i, as in the released code of Hu et al. (2025).  Stopping is possible only where no
    slot is empty; its logit is `stop_logit`.  Weights start as in torch.nn, which starts all layers
    of an encoder alike.  `hidden`: of the layer between; `dropout`: where
    torch.nn.TransformerEncoderLayer and the positions have it, by the random numbers given to
    `rows(parameters, states, bits)`, bits [N, B, n_random] int16 for N seeds, or by none. Raises
    NotWordsError for a space whose `n_words` is 0.
    """
    if not isinstance(space, GeneratedDAG) or not space.n_words:
        raise NotWordsError(
            f"policy 'transformer' reads slots of words, and {space.name} has none; use "
            "mlp, or a space such as "
            "generated:bits:120x8"
        )
    if width % n_heads or width % 2:
        raise ValueError(
            f"a width of {width} does not split into {n_heads} heads; take an even multiple"
        )
    rows_of = heads or Heads(space.n_actions)
    n_words, n_slots = space.n_words, len(space.source)
    n_tokens = n_slots + 1
    shapes = _shapes(n_words, n_slots + rows_of.n_back + rows_of.flow, width, depth, hidden)
    positions = on_device(lambda: _sinusoids(n_tokens, width).numpy())

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        member = _drawn(shapes, width, hidden, generator)
        if rows_of.flow:
            member["from_bos_bias"][..., -1] += initial_log_flow
        member["log_z"] = torch.tensor(initial_log_z, dtype=torch.float64)
        return member

    def rows(parameters: Parameters, states: Tensor | None, bits: Tensor | None = None) -> Tensor:
        if states is None:
            raise ValueError(
                f"{space.name} is too large to evaluate at all states; name the states"
            )
        n_members, n_states = states.shape[:2]
        drop = None if bits is None or not dropout else dropping(bits, dropout)
        tokens = torch.cat([torch.full_like(states[..., :1], n_words + 1), states], dim=-1)
        # one table of the embeddings of all members
        first = torch.arange(n_members, device=states.device)[:, None, None] * (n_words + 2)
        table = parameters["embedding"].flatten(0, 1)
        x = table.index_select(0, (tokens + first).flatten()).view(
            n_members, n_states, n_tokens, width
        )
        x = x + positions(x).to(x.dtype)
        x = x if drop is None else drop(x)
        for layer in range(depth):
            x = _layer(parameters, layer, x, n_heads, drop)
        words = x[:, :, 1:].permute(0, 2, 3, 1)  # [M, L, width, N]
        at_bos = torch.baddbmm(
            parameters["from_bos_bias"].mT, parameters["from_bos_weight"].mT, x[:, :, 0].mT
        )  # [M, L + Q + 1, N]
        bias = parameters["word_bias"][:, None] + at_bos[:, :n_slots, None]
        logits = parameters["word_weight"][:, None] @ words + bias
        stop = x.new_full((n_members, 1, n_states), stop_logit)
        return torch.cat([logits.flatten(1, 2), stop, at_bos[:, n_slots:]], dim=1)

    n_random = (
        n_tokens * (width + depth * (n_heads * n_tokens + 2 * width + hidden)) if dropout else 0
    )
    return Policy(
        "transformer", space, rows_of, shapes, draw, rows, n_random=n_random, single_pass=True
    )


def dropping(bits: Tensor, chance: float) -> Drop:
    """drop(values [L N, B, ...]): each set to 0 with `chance`, else divided by 1 - chance (both
    rounded to 1/65536).

    bits [N, B, K] int16, uniform; one after the other is used up, and all losses of a seed share
    theirs.
    """
    cut = round(chance * LEVELS)
    scale = LEVELS / (LEVELS - cut)
    n_seeds, batch = bits.shape[:2]
    place = 0

    def drop(values: Tensor) -> Tensor:
        nonlocal place
        size = values[0, 0].numel()
        kept = (bits[..., place : place + size] >= cut - LEVELS // 2).to(values.dtype).mul_(scale)
        place += size
        return (values.reshape(-1, n_seeds, batch, size) * kept).view(values.shape)

    return drop


def _layer(
    parameters: Parameters, layer: int, x: Tensor, n_heads: int, drop: Drop | None
) -> Tensor:
    """Attention and the layer between, each added and then normalised: [M, N, T, width] of the
    same shape.
    """
    p = {key: parameters[f"{key}_{layer}"] for key in LAYER}
    x = _normalised(x + _dropped(_attended(p, x, n_heads, drop), drop), p["scale_1"], p["shift_1"])
    between = _dropped(_linear(x, p["in_weight"], p["in_bias"]).relu(), drop)
    out = _dropped(_linear(between, p["out_weight"], p["out_bias"]), drop)
    return _normalised(x + out, p["scale_2"], p["shift_2"])


def _attended(p: Parameters, x: Tensor, n_heads: int, drop: Drop | None) -> Tensor:
    n_members, n_states, n_tokens, width = x.shape
    size = width // n_heads
    qkv = _linear(x, p["qkv_weight"], p["qkv_bias"]).view(-1, n_tokens, 3, n_heads, size)
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # [M N, heads, T, size]
    if drop is None:
        mixed = scaled_dot_product_attention(query, key, value)
    else:
        attention = torch.softmax((query / math.sqrt(size)) @ key.mT, dim=-1)
        mixed = (
            drop(attention.view(n_members, n_states, n_heads, n_tokens, n_tokens)).flatten(0, 1)
            @ value
        )
    mixed = mixed.transpose(1, 2).reshape(x.shape)
    return _linear(mixed, p["mix_weight"], p["mix_bias"])


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[M, N, T, K] with weight [M, K, J] and bias [M, 1, J] -> [M, N, T, J], one product for all
    members.
    """
    return torch.baddbmm(bias, x.flatten(1, 2), weight).unflatten(1, x.shape[1:3])


def _normalised(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift[:, None], layer_norm(x, x.shape[-1:]), scale[:, None])


def _dropped(x: Tensor, drop: Drop | None) -> Tensor:
    return x if drop is None else drop(x)


LAYER = (
    "qkv_weight",
    "qkv_bias",
    "mix_weight",
    "mix_bias",
    "scale_1",
    "shift_1",
    "in_weight",
    "in_bias",
    "out_weight",
    "out_bias",
    "scale_2",
    "shift_2",
)


def _shapes(
    n_words: int, n_from_bos: int, width: int, depth: int, hidden: int
) -> dict[str, tuple[int, ...]]:
    """Of one member; weights are stored inputs-first, that of the words outputs-first."""
    weights = {
        "qkv": (width, 3 * width),
        "mix": (width, width),
        "in": (width, hidden),
        "out": (hidden, width),
    }
    shapes: dict[str, tuple[int, ...]] = {"embedding": (n_words + 2, width)}
    for layer in range(depth):
        for key in LAYER:
            name, _, kind = key.rpartition("_")
            shape = weights.get(name, (1, width))
            shapes[f"{key}_{layer}"] = (1, shape[1]) if kind == "bias" else shape
    return {
        **shapes,
        "word_weight": (n_words, width),
        "word_bias": (n_words, 1),
        "from_bos_weight": (width, n_from_bos),
        "from_bos_bias": (1, n_from_bos),
        "log_z": (),
    }


def _drawn(
    shapes: dict[str, tuple[int, ...]], width: int, hidden: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """As torch.nn starts them: N(0, 1) embeddings, Glorot's bounds for q, k and v,
    1/sqrt(inputs) elsewhere.
    """
    bounds = {"qkv_weight": math.sqrt(6 / (4 * width)), "out_weight": 1 / math.sqrt(hidden)}
    bounds["out_bias"] = bounds["out_weight"]
    constant = {"qkv_bias": 0.0, "mix_bias": 0.0, "scale": 1.0, "shift": 0.0}
    member: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        base, _, number = key.rpartition("_")
        kind = base if number.isdigit() else key
        if key == "embedding":
            member[key] = torch.randn(shape, generator=generator, dtype=torch.float64)
        elif kind in LAYER and int(number):
            member[key] = member[f"{kind}_0"].clone()
        elif (known := constant.get(kind, constant.get(kind.rpartition("_")[0]))) is not None:
            member[key] = torch.full(shape, known, dtype=torch.float64)
        elif key != "log_z":
            bound = bounds.get(kind, 1 / math.sqrt(width))
            member[key] = bound * (
                2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
            )
    return member


def _sinusoids(length: int, width: int) -> Tensor:
    """sin and cos of position / 10000^(2i/width), by turns: [T, width] float32 (Vaswani et al.

    2017).
    """
    angle = torch.arange(length)[:, None] * torch.exp(
        torch.arange(0, width, 2) * (-math.log(10000.0) / width)
    )
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
