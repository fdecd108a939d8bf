"""The loss designer: a page to play with.

The page itself is `page.py`; everything it shows is computed beside it.
"""

from threading import Lock

# Each visitor's page runs in a thread. Of threads that import packages with circular imports at the
# same time, one meets half a module, and the package stays broken for all who come later.
IMPORTING = Lock()
