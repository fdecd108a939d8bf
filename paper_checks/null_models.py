"""What laws that learned nothing of the modes, or too much of them, score on the published metrics.

    python paper_checks/null_models.py      results/null_models/*.json; seconds, no training

Figure 3's metric is the L1 distance between the target and the empirical law of N draws. Its mean is
exact for any law q: sum_x E|X/N - p(x)|, X binomial (`metrics.expected_l1`). Table 4's is
Spearman's correlation of P_T and R on 7,200 strings; of a law in closed form it needs no estimate.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import presets
import torch

from divergence_lab.gflownet.listed.exact import target_distribution
from divergence_lab.graphs.spaces.bits import generated_bits, near_modes
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.results import metrics
from divergence_lab.results.storage import write_atomically

FOLDER = presets.HERE / "results" / "null_models"
# the number of draws in the window of each space that was run
WINDOWS = {
    "hypergrid:4x20:paper": 80_000,
    "hypergrid:2x20:paper": 16_000,
    "hypergrid:2x8:paper": 8_000,
    "hypergrid:2x8:paper_text": 8_000,
}
CLAMP = -12.0  # of log R in the released code, with TB and SubTB
WORDS = (0b00000000, 0b11111111, 0b11110000, 0b00001111, 0b00111100)  # of which modes are made
N_BITS, WORD, SEEDS = 120, 8, 5
PERFECT, ALONE = "the target (a perfect sampler)", "the modes alone"
SCALES = (2.0, 1.0, 0.5, 0.25, 0.125)  # 2 is that of log R; a flat law orders strings better


def of_a_grid(env: str, samples: int) -> dict[str, Any]:
    """E L1 of `samples` draws, and the total variation, of each null law on this grid."""
    graph = graph_from_text(env)
    target = target_distribution(graph)
    reward = np.exp(graph.log_reward[graph.terminal_states])
    is_mode = reward > 0.5 * reward.max()
    clamped = np.maximum(reward, np.exp(CLAMP))
    share = 1 - target[is_mode].sum()
    twice = 2 * (1 - share) / (1 - 2 * share)
    laws = {
        "the target (a perfect sampler)": target,
        "the target without its background": np.where(is_mode, reward, 0.0),
        "the target with twice the share of background": np.where(is_mode, reward, reward * twice),
        "the background alone": np.where(is_mode, 0.0, reward),
        "the uniform law": np.ones_like(reward),
        "the target of log R clamped at -12": clamped,
    }
    rows = []
    for name, weights in laws.items():
        law = weights / weights.sum()
        rows.append(
            {
                "law": name,
                "l1": float(metrics.expected_l1(target, law, samples)),
                "tv": float(metrics.total_variation(target, law)),
            }
        )
    lifted = clamped / reward
    return {
        "env": env,
        "samples": samples,
        "states": int(reward.size),
        "mode_mass": float(target[is_mode].sum()),
        "clamp_lifts": float(lifted.max()),
        "states_lifted": int((lifted > 1).sum()),
        "rows": rows,
    }


def of_bits(seed: int) -> dict[str, float]:
    """Spearman's correlation with R, on the 7,200 strings, of product laws of 15 independent words,
    h(w) ~ sum_v exp(-scale * distance(w, v)) over the five words v: such a law knows the five
    words, gives all 5^15 strings of them about the same chance, and so knows no mode. And of R
    itself, and of a law that has the modes alone.
    """
    strings = near_modes(N_BITS, WORD, seed=seed)
    space = generated_bits(N_BITS, WORD, seed=seed)
    log_reward = space.log_reward(torch.tensor(strings)).numpy()
    apart = np.array([[int(w ^ one).bit_count() for one in WORDS] for w in range(2**WORD)])
    found = {
        PERFECT: float(metrics.spearman(log_reward, log_reward)),
        ALONE: float(metrics.spearman(log_reward == log_reward.max(), log_reward)),
    }
    for scale in SCALES:
        log_word = np.log(np.exp(-scale * apart).sum(axis=1))
        score = log_word[strings - 1].sum(axis=1)
        found[f"{scale:g}"] = float(metrics.spearman(score, log_reward))
    return {"seed": seed, "strings": len(strings), **found}


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    grids = [of_a_grid(env, samples) for env, samples in WINDOWS.items()]
    for name, content in (("grids", grids), ("bits", [of_bits(seed) for seed in range(SEEDS)])):
        write_atomically(FOLDER / f"{name}.json", (json.dumps(content, indent=1) + "\n").encode())
    print(FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
