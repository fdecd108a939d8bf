"""README.md: what all checks found, every sentence from the committed results.

    python paper_checks/findings.py

A sentence whose condition no longer holds stops the page (`saying.NotCarried`): rewrite it, as its
numbers say. What is left out here, theory, is held by the tests of its own two tables.
"""

from __future__ import annotations

import sys

import findings_beyond
import findings_bits
import findings_hypergrid
import findings_molecules
import presets
from saying import points

from divergence_lab.results.storage import write_atomically

PAGE = presets.HERE / "README.md"

HEAD = """# Paper checks

One script for each table or figure of the paper (Hu, Zhang, Li and Huang, *Beyond Squared Error*, ICLR 2025,
arXiv 2410.02596, version 1). Each puts what the paper claims beside what this package computes, and says whether
the two agree. `make paper` runs them all, `make paper PRESET=standard` or `PRESET=paper` more of each (presets.py says how
much); a symbolic script ends with exit code 1 if something that should agree does not. What trains is resumed where it
was stopped, and its page shows what was run, no more: `--page` draws it again from the committed results, `--gather` takes what
was run so far and trains nothing. `--as released` and `--as written` do it as the released code does, or as the text says.

This page is written by `python paper_checks/findings.py`: every sentence below "Hyper-grid" is said only if what it claims holds in
the committed results, and its numbers are computed from them (`tests/test_findings.py`).

| script | what it recomputes | result |
|---|---|---|
| `table2_losses.py` | the four losses, their divergences and their character; the alpha family | [table2_losses.md](table2_losses.md) |
| `theorem_b1.py` | f_1 to f_4: who is weighted, who learns, and where each is convex | [theorem_b1.md](theorem_b1.md) |
| `figure3_hypergrid.py` | Figure 3: how fast each loss learns the hyper-grid | [figure3_hypergrid.md](figure3_hypergrid.md) |
| `beyond_the_paper.py` | more losses, annealing, exploration, sensitivity | [beyond_the_paper.md](beyond_the_paper.md) |
| `tables3_4_bits.py` | Tables 3 and 4, Figure 4: bit sequences, and an enumerable twin | [tables3_4_bits.md](tables3_4_bits.md) |
| `figure5_molecules.py` | Figure 5: molecules, in an exact space and sampled | [figure5_molecules.md](figure5_molecules.md) |
| `leak.py` | what a learned log Z does where the data never leave a set, with remedies | [leak.md](leak.md) |
| `log_z.py` | which log Z a loss settles at; which losses keep their direction when centred by the batch | [log_z.md](log_z.md) |
| `noise.py` | the noise of a sampled gradient by loss and objective, exact; what it says of batch size and learning rate | [noise.md](noise.md) |
| `take_off.py` | how soon a mode is seen, and what a loss makes of it | [take_off.md](take_off.md) |
| `kl_fine_tuning.py` | the way of a policy over token trees under k1, k2 and k3 in each placement, clipped and not; exact | [kl_fine_tuning.md](kl_fine_tuning.md) |
| `off_policy.py` | where training ends under a sampler when the policy cannot reach the target; what replay does | [off_policy.md](off_policy.md) |
| `small_models.py` | models that are too small: exact minimisers of each divergence, what training finds, how often tails tell | [small_models.md](small_models.md) |
| `null_models.py` | what laws that know no mode, or no background, score on Figure 3's and Table 4's metrics; exact | in the pages of both |
| `time_on_a_gpu.py` | what a training step of the preset `paper` does, and about how long a GPU would take | [time_on_a_gpu.md](time_on_a_gpu.md) |
"""

THEORY = """## Theory

What was run: every line of Table 2, g from f and the rest from g, by exact symbolic comparison. No training, no random
numbers; a few seconds. Theorem B.1 likewise, each generator from the on-policy loss with the same gradient.

Findings:

- Table 2 is right in every entry.
- Linex(alpha) gives the paper's alpha-divergence exactly, with no factor left over, for a symbolic alpha.
- Section 4.3 writes the generator of the forward KL divergence as t log t - t - 1. It must be + 1, as in Table 2: at
  t = 1 the printed one is -2, not 0.
- Shifted-Cosh has g''(0) = 2, the others 1: near the target it pulls twice as hard at the same learning rate.
- Shifted-Cosh, for which Table 2 names no divergence, minimises the forward KL divergence plus half the Neyman
  chi-square divergence.
- Theorem B.1 is right: f_1 to f_4 of all four losses, and where f_2 and f_3 stop being convex (t <= e and t >= 1/e for
  the quadratic loss, t >= 1/2 for f_3 of Linex(1), t <= 4 and t >= 4/9 for Linex(1/2); everywhere for Shifted-Cosh).
- Theorem 4.1 holds for fewer parameters than it says: [when it does](../docs/theorem.md) is checked for every objective.
"""

HYPERGRID = """## Hyper-grid

[Tables and figures](figure3_hypergrid.md). Run, 5 seeds each: 20^4 with the paper's constants, network, batch and traps, **TB for all of the paper's 50,000
steps (800,000 trajectories)**, DB and SubTB(0.9) for the first 5,000, FM for the first 613; 8 x 8 with all four objectives, 3,000 steps; and 20 x 20 with TB, DB and
SubTB, 5,000 steps. Of Figure 3, TB is reproduced; the later steps of DB, SubTB and FM are missing, as is the text's reading of the reward at this size: neither
fits a CPU, and `--preset paper` goes that far ([how long that would take](time_on_a_gpu.md)). On 8 x 8 also [as released](figure3_hypergrid_as_released.md)
([without its clip](figure3_hypergrid_as_released_without_gradient_clip.md)), [with the released mean alone](figure3_hypergrid_as_mean.md)
([without the clip](figure3_hypergrid_as_mean_without_gradient_clip.md)) and [as written](figure3_hypergrid_as_written.md).
"""

BITS = """## Bit sequences

[Tables and figures](tables3_4_bits.md). **Tables 3 and 4 are not reproduced yet**: no run had the paper's length of 250,000 steps, which no CPU has the time for. What was run: the
paper's sizes (120 bits, 60 modes), DB with forward-looking flows for 600 steps, DB, TB and SubTB for 200, one seed of each;
DB without the gradient clip, 3 seeds, 200 steps; and a twin of 16 bits, where everything is exact, with DB, TB and SubTB, 5 seeds, 1,000 steps.
"""

MOLECULES = """## Molecules

[Tables and figures](figure5_molecules.md). Run: a space of 3,150 molecules with the sEH reward, where every law is exact; 5 seeds, 800 sampled steps
with batch 4, or expected gradients. And Figure 5's own space, molecules of 2 to 8 of all 105 blocks with the sEH reward: 3 seeds, 1,000 of
the paper's 50,000 steps, a smaller network. **Figure 5 is not reproduced at its length.**

Molecules of 2 to 8 blocks, all 4,000 drawn in a run:
"""

BEYOND = """## Beyond the paper

[Tables and figures](beyond_the_paper.md). Run: all 34 jobs, 1,350 runs of 2,000 steps, 5 seeds, TB and DB, on the 8 x 8 grid with the paper's constants
and, but for sensitivity, on six bits; all laws exact.
"""


def readme() -> str:
    """The page as text."""
    sampled, exact = findings_molecules.sentences()
    found = findings_hypergrid.curves()
    how = findings_hypergrid.how_to_read(found)
    parts = [
        HEAD,
        THEORY,
        HYPERGRID,
        points([how]).removeprefix("- ").replace("\n  ", "\n") + "\n",
        points(findings_hypergrid.sentences()) + "\n",
        BITS,
        points(findings_bits.sentences()) + "\n",
        MOLECULES,
        points(sampled) + "\n",
        "The exact space:\n",
        points(exact) + "\n",
        BEYOND,
        points(findings_beyond.sentences()) + "\n",
    ]
    return "\n".join(parts)


def main() -> int:
    write_atomically(PAGE, readme().encode())
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
