"""A message-passing policy over trees of blocks, with an ensemble axis; in the spirit of Bengio
et al. 2021.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from divergence_lab.gflownet.policies.policy import Heads, Parameters, Policy
from divergence_lab.graphs.generated import GeneratedDAG

if TYPE_CHECKING:
    from divergence_lab.graphs.molecules.generated import BlockGraph, BlockView

EMBEDDINGS = ("kind", "port", "port_out", "port_in")


def mpnn(
    space: GeneratedDAG,
    *,
    heads: Heads | None = None,
    width: int = 32,
    depth: int = 3,
    stop_logit: float = 0.0,
    initial_log_z: float = 0.0,
    initial_log_flow: float = 0.0,
) -> Policy[GeneratedDAG]:
    """`depth` rounds of messages between blocks, `width` numbers a block.

        h = W2 act(W1 emb(kind)),   m_i = act(mean over bonds (i p)-(j q) of (h_j . u_jq) v_ip + h_i
        R + b),
        h_i = GRU(m_i, h_i)

    with u, v embeddings of the stems (which atom of which SMILES): the matrix of a bond is an outer
    product, as released. Logits of adding a block to stem (i, p): a two-layer net of [h_i,
    emb(stem)]; of stopping, and log F: one of the mean of h. The empty molecule is one block of a
    kind of its own.  act = LeakyReLU(0.01).  The numbers of a stem do not depend on the order of
    the blocks.
    """
    seen = getattr(space, "blocks", None)
    if seen is None:
        raise ValueError(f"{space.name} has no graph of blocks; use policy='mlp'")
    rows_of = heads or Heads(space.n_actions)
    shapes = _shapes(seen, width, rows_of)

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        member = _drawn(shapes, width, generator)
        member["whole_1.bias"][0, 0] += stop_logit
        if rows_of.flow:
            member["whole_1.bias"][0, 1] += initial_log_flow
        member["log_z"] = torch.tensor(initial_log_z, dtype=torch.float64)
        return member

    def rows(parameters: Parameters, states: Tensor | None) -> Tensor:
        if states is None:
            raise ValueError(
                f"{space.name} is too large to evaluate at all states; name the states"
            )
        return _rows(parameters, seen.view(states), rows_of, depth)

    return Policy("mpnn", space, rows_of, shapes, draw, rows)


def _shapes(seen: BlockView, H: int, rows_of: Heads) -> dict[str, tuple[int, ...]]:
    """Of one member; log Z is the last."""
    return {
        "kind": (seen.n_kinds, H),
        "port": (seen.n_ports, H),
        "port_out": (seen.n_ports, H),
        "port_in": (seen.n_ports, H),
        **_layer("in_0", H, H),
        **_layer("in_1", H, H),
        **_layer("root", H, H),
        **_layer("message", H, 3 * H),
        **_layer("memory", H, 3 * H),
        **_layer("stem_0", 2 * H, H),
        **_layer("stem_1", H, H),
        **_layer("stem_2", H, seen.n_blocks),
        **_layer("whole_0", H, H),
        **_layer("whole_1", H, 1 + rows_of.flow),
        **(_layer("back", H, 1) if rows_of.n_back else {}),
        "log_z": (),
    }


def _drawn(
    shapes: dict[str, tuple[int, ...]], H: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Layers as torch.nn.Linear, embeddings as torch.nn.Embedding; all but log Z."""
    member = {}
    for key, shape in list(shapes.items())[:-1]:
        if key in EMBEDDINGS:
            # divided where a product over H numbers follows
            scale = 1 / math.sqrt(H) if key == "port_out" else 1.0
            member[key] = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
            continue
        inputs = shapes[key.replace("bias", "weight")][0]
        drawn = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
        member[key] = drawn / math.sqrt(inputs)
    return member


def _rows(p: Parameters, graph: BlockGraph, rows_of: Heads, depth: int) -> Tensor:
    """[M, R, N] at the block graphs [M, N, ..]."""
    M, count, V = graph.kind.shape
    P = graph.port.shape[-1]
    exists = graph.kind > 0
    empty = ~exists.any(dim=-1)
    # the empty molecule is one block of kind 0, which no block has
    exists = torch.cat([exists[..., :1] | empty[..., None], exists[..., 1:]], dim=-1)
    mask = exists[..., None].to(p["kind"].dtype)
    h = _net(p, "in", _look_up(p["kind"], graph.kind).flatten(1, 2), 2).view(M, count, V, -1) * mask
    h = _after_messages(p, graph, h, mask, depth)
    whole = h.sum(dim=-2) / mask.sum(dim=-2)
    said = _net(p, "whole", whole, 2)
    stems = torch.cat(
        [h[..., None, :].expand(-1, -1, -1, P, -1), _look_up(p["port"], graph.port)], dim=-1
    )
    logits = _net(p, "stem", stems.flatten(1, 3), 3).view(M, count, -1)
    parts = [logits, said[..., :1]]
    if rows_of.n_back:
        parts.append(_linear(p, "back", h.flatten(1, 2)).view(M, count, V))
    if rows_of.flow:
        parts.append(said[..., 1:])
    return torch.cat(parts, dim=-1).mT


def _after_messages(
    p: Parameters, graph: BlockGraph, h: Tensor, mask: Tensor, depth: int
) -> Tensor:
    """The numbers [M, N, V, H] of each block after `depth` rounds of messages."""
    places = (graph.kind.shape[-1], graph.port.shape[-1])
    sends, takes = _look_up(p["port_out"], graph.port), _look_up(p["port_in"], graph.port)
    partner, bound = graph.partner.clamp(min=0), (graph.partner >= 0).to(h.dtype)
    degree = bound.unflatten(-1, places).sum(dim=-1).clamp(min=1.0)
    for _ in range(depth):
        said = (h[..., None, :] * sends).sum(dim=-1).flatten(-2)  # [M, N, V P]
        heard = (said.gather(-1, partner) * bound).unflatten(-1, places)
        received = (heard[..., None] * takes).sum(dim=-2) / degree[..., None]
        flat = h.flatten(1, 2)
        message = leaky_relu(received.flatten(1, 2) + _linear(p, "root", flat))
        h = _gru(p, message, flat).view(h.shape) * mask
    return h


def _layer(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (inputs, outputs), f"{name}.bias": (1, outputs)}


def _linear(p: Parameters, name: str, x: Tensor) -> Tensor:
    return torch.baddbmm(p[f"{name}.bias"], x, p[f"{name}.weight"])


def _net(p: Parameters, name: str, x: Tensor, layers: int) -> Tensor:
    for layer in range(layers):
        x = _linear(p, f"{name}_{layer}", x)
        if layer < layers - 1:
            x = leaky_relu(x)
    return x


def _gru(p: Parameters, message: Tensor, hidden: Tensor) -> Tensor:
    """h' = (1 - z) n + z h,  r, z = sigmoid, n = tanh(in + r hn): torch.nn.GRUCell, for all
    members.
    """
    into, held = _linear(p, "message", message), _linear(p, "memory", hidden)
    (ir, iz, i_n), (hr, hz, hn) = into.chunk(3, dim=-1), held.chunk(3, dim=-1)
    z = torch.sigmoid(iz + hz)
    return (1 - z) * torch.tanh(i_n + torch.sigmoid(ir + hr) * hn) + z * hidden


def _look_up(table: Tensor, index: Tensor) -> Tensor:
    """table [M, K, H] at index [M, ..] -> [M, .., H]."""
    M, K, H = table.shape
    member = K * torch.arange(M, device=index.device).view(-1, *[1] * (index.dim() - 1))
    return torch.nn.functional.embedding(index + member, table.reshape(M * K, H))
