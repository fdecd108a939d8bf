"""The losses and KL estimators of popular libraries, by name: `preset:trl/grpo`.

Each is written anew from its library's documented formula, with the version, the place, the sign of
its residual and where it stands. `preset` has the record, `named` the list, `table` the page.
"""
