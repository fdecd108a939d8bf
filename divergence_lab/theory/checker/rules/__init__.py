"""The rules of proof: each is one record, with its data, its words, its LaTeX and its replay.

To add one: a record in the file of its group, in the table at the end of that file; what proposes
it in `theory/verdicts`; a row in docs/certificates.md; a forged step of it in the tests.
"""
