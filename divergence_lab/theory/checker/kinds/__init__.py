"""The kinds of verdict: each is one record, with what a yes and a no need, and its sentence.

To add one: a record in one of these files, in the table (`table.py`); the search for it in
`theory/verdicts`, under its name; a field of `Verdicts`; its proposition in the docs; tests.
"""
