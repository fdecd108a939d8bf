"""Every verdict on a loss without parameters: the first proof that is found and that the checker
accepts.
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Iterable

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed
from divergence_lab.theory.checker.facts import parts, proofs
from divergence_lab.theory.checker.replay import (
    MALFORMED,
    check_verdict,
    check_without_pieces,
    prove_answer,
    read_parts,
    status_of,
)
from divergence_lab.theory.divergence import domain, loss
from divergence_lab.theory.expressions import (
    CannotSplit,
    ExpressionError,
    Pieces,
    enclosure,
    ordering,
    write,
)
from divergence_lab.theory.expressions.pieces import Piece
from divergence_lab.theory.verdicts import ends, searches, signs
from divergence_lab.theory.verdicts.verdict import (
    ENCLOSED,
    KINDS,
    UNDECIDED,
    Verdict,
    Verdicts,
    data_of,
    gather,
    in_words,
    verdict_to_json,
)
from divergence_lab.theory.verdicts.without_pieces import faults, formulas


def decide_plain(loss: loss.Loss, generator: sp.Expr | None = None) -> Verdicts:
    """Every verdict on a loss without free parameters.

    `generator` is the confirmed closed form of f if there is one; only the number f'(oo) is read
    off it.
    """
    verdicts = {kind: ask_one(kind, loss) for kind in KINDS}
    ends = numbers(loss, generator, verdicts["zero_forcing"], verdicts["zero_avoiding"])
    return gather(verdicts, ends, texts_of_pieces(loss))


def ask_one(kind: str, loss: loss.Loss) -> Verdict:
    """One verdict (of KINDS) on a loss without parameters."""
    question = _prepared(loss)
    if isinstance(question, Verdict):
        return question
    if isinstance(question, searches.Question):
        return _ask(kind, question)
    return _ask_of_formula(kind, loss, question)


def expected(kind: str, loss: loss.Loss) -> Verdict | None:
    """The answer and its steps alone, proved, without the words and the status that `ask_one` gives
    besides; None where it is not decided.
    """
    question = _prepared(loss)
    if not isinstance(question, searches.Question):
        return ask_one(kind, loss)
    with contextlib.suppress(*_ENDED):
        for proposal in searches.SEARCHES[kind](question):
            with contextlib.suppress(proofs.Rejected, ExpressionError):
                prove_answer(kind, proposal.holds is True, data_of(proposal), question.parts)
                return proposal
    return None


_ENDED = (ends.Undecided, OutOfTime, SearchFailed, CannotSplit, enclosure.NotEvaluable)


def _ask_of_formula(kind: str, loss: loss.Loss, fault: domain.Fault) -> Verdict:
    """What the checker proves of a formula that it has shown to be no loss."""
    shown, text = faults.why_no_loss(loss, fault), write(loss.expression)
    with contextlib.suppress(OutOfTime, SearchFailed, CannotSplit, enclosure.NotEvaluable):
        for holds, steps in formulas.SEARCHES[kind](loss, shown) if shown is not None else ():
            with contextlib.suppress(*MALFORMED):
                verdict = in_words(kind, Verdict(holds, ENCLOSED, "", steps=steps))
                check_without_pieces(kind, verdict_to_json(verdict, kind), text)
                return verdict
    return _undecided(
        f"nothing is claimed of a function that may not be finite and continuous: {fault.what}"
    )


def _ask(kind: str, question: searches.Question) -> Verdict:
    """The first proposal of the search that the checker proves."""
    reasons = []
    try:
        for proposal in searches.SEARCHES[kind](question):
            try:
                status = status_of(data_of(proposal), question.parts)
                verdict = in_words(kind, dataclasses.replace(proposal, status=status))
                check_verdict(kind, verdict_to_json(verdict, kind), question.parts)
                return verdict
            except (proofs.Rejected, ExpressionError) as reason:
                reasons.append(f"a proof was proposed but not verified: {reason}")
    except _ENDED as reason:
        reasons.append(str(reason) or "the processor time for it was over")
    return _undecided("; ".join(dict.fromkeys(reasons)) or "no proof was found")


def texts_of_pieces(loss: loss.Loss) -> tuple[dict[str, str], ...]:
    """g split at its kinks, their mirror images and 0, as the certificates state it; none where
    that is not confirmed.
    """
    question = _prepared(loss)
    return question.texts if isinstance(question, searches.Question) else ()


def numbers(
    loss: loss.Loss, generator: sp.Expr | None, forcing: Verdict, avoiding: Verdict
) -> tuple[sp.Expr | None, sp.Expr | None, sp.Expr | None]:
    """f(0+) = -g'(-oo), as the certificate of zero-forcing says it, f'(oo) and g''(0), where
    they are known.
    """
    if not isinstance(_prepared(loss), searches.Question):
        return None, None, None
    at_zero, _, _ = known_ends(forcing, avoiding)
    falls = avoiding.holds is False and dict(avoiding.steps[0].data)["diverges"] == "true"
    slope = -sp.oo if falls else ends.slope_at_infinity(loss, generator, avoiding.holds)
    return at_zero, slope, ends.curvature_at_zero(loss)


def known_ends(forcing: Verdict, avoiding: Verdict) -> tuple[sp.Expr | None, sp.Expr | None, None]:
    """f(0+) and f'(oo) as far as the certificates of these verdicts say them, without any
    search.
    """
    steps = dict(forcing.steps[0].data) if forcing.holds is not None and forcing.steps else {}
    return (
        -parts.read_number(steps["limit"]) if "limit" in steps else None,
        sp.oo if avoiding.holds else None,
        None,
    )


@functools.lru_cache(maxsize=16)
def _prepared(loss: loss.Loss) -> searches.Question | domain.Fault | Verdict:
    """The loss ready for questions, its pieces confirmed by the checker; or what is wrong with
    it, or an undecided verdict.
    """
    try:
        broken = domain.fault(loss)
        if broken is not None:
            return broken
        pieces = refine(loss.pieces)
        slopes = refine(loss.derivative) if loss.slope is not None else pieces.derivative()
        try:
            tidy = signs.tidy(slopes)
            return _question(loss, pieces, tidy, signs.tidy(tidy.derivative()))
        except (proofs.Rejected, ExpressionError):
            # the checker does not follow or hold the tidier form: as they were differentiated
            return _question(loss, pieces, slopes, slopes.derivative())
    except (proofs.Rejected, ExpressionError, OutOfTime, enclosure.NotEvaluable) as reason:
        return _undecided(f"the pieces of g could not be confirmed: {reason}")


def _question(
    loss: loss.Loss, pieces: Pieces, slope: Pieces, curvature: Pieces
) -> searches.Question:
    texts = tuple(_piece_texts(pieces, slope, curvature))
    return searches.Question(
        loss, slope, curvature, read_parts({"loss": write(loss.expression), "pieces": texts}), texts
    )


def refine(pieces: Pieces) -> Pieces:
    """The pieces broken at 0 as well, and at the mirror image of every kink."""
    ends = [-sp.oo, *ordering.with_mirror_images(pieces.kinks), sp.oo]
    refined = []
    for low, high in itertools.pairwise(ends):
        home = next(
            p
            for p in pieces.pieces
            if not ordering.is_less(low, p.low)
            and (p.high == sp.oo or (high != sp.oo and not ordering.is_less(p.high, high)))
        )
        refined.append(Piece(low, high, home.expression))
    return Pieces(tuple(refined), pieces.variable)


def _piece_texts(pieces: Pieces, slopes: Pieces, curvatures: Pieces) -> Iterable[dict[str, str]]:
    for g, slope, curvature in zip(pieces.pieces, slopes.pieces, curvatures.pieces):
        yield {
            "low": write(g.low),
            "high": write(g.high),
            "loss": None if g.expression.has(sp.Integral) else write(g.expression),
            "slope": write(slope.expression),
            "curvature": write(curvature.expression),
        }


def _undecided(because: str) -> Verdict:
    return Verdict(None, UNDECIDED, because)
