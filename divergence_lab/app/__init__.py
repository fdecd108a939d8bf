"""The loss designer: a page to play with.

The page itself is `page.py`; everything it shows is computed beside it.
"""
