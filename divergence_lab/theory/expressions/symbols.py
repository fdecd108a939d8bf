"""The symbols, and the one sign convention of the whole project.

    residual   x = log p_B(o) - log p_F(o), > 0 where the model has too little
    ratio      t = e^x = p_B(o) / p_F(o)
    loss       g(x), with g(0) = 0 its minimum
    generator  f(t), with f(1) = f'(1) = 0, of D_f(p_B || p_F) = sum_o p_F(o) f(p_B(o) / p_F(o))

Everything that needs a sign imports it from here in words: nothing else in the package defines a
residual. Symbols that theory brings in for its own use have a ~ in their names: no parameter of a
loss can be called so.
"""

import sympy as sp

x = sp.Symbol("x", real=True)
"""The residual."""

t = sp.Symbol("t", positive=True)
"""The ratio e^x."""
