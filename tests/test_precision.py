"""FLINT's precision is global: threads that change it must not meet."""

import os
import sys
import threading

from flint import ctx

from divergence_lab.theory.expressions.precision import bits, digits


def test_a_block_has_its_precision_and_leaves_none_behind():
    before = ctx.prec, ctx.cap
    with bits(200, 7):
        assert (ctx.prec, ctx.cap) == (200, 7)
        with digits(10):
            assert 33 <= ctx.prec < 64 and ctx.cap == 7
        with bits(300):
            assert (ctx.prec, ctx.cap) == (300, 7)
    assert (ctx.prec, ctx.cap) == before


def test_threads_do_not_meet():
    before, wrong = (ctx.prec, ctx.cap), []

    def work(mine):
        for _ in range(300):
            with bits(mine, mine):
                for _ in range(20):
                    if (ctx.prec, ctx.cap) != (mine, mine):
                        wrong.append(mine)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(60 + 10 * k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong and (ctx.prec, ctx.cap) == before


def test_a_fork_out_of_another_threads_block_can_work():
    inside, done = threading.Event(), threading.Event()

    def hold():
        with bits(400):
            inside.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(60)
    child = os.fork()
    if child == 0:
        with bits(70):
            os._exit(0 if ctx.prec == 70 else 1)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
