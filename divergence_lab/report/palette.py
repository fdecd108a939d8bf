"""Colours, dashes and type for every picture: figures, lessons, pages. Needs nothing, so theory can
use it too.

Colours are Okabe and Ito's eight, safe for colour-blind readers; dashes and markers tell lines
apart in a grey print.
"""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 3)), (0, (3, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
TARGET = "#C9C9C9"  # what is to be learned, as a filled area
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "divergence_lab",
    "legend.frameon": False,
    "font.family": "DejaVu Sans",
    "savefig.facecolor": "white",
}
# In print: the width of a column and of a page, in inches, and type that can be read there; nothing
# is smaller than 6 points.
COLUMN, PAGE = 3.35, 6.9
PRINT = {
    **STYLE,
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "figure.titlesize": 7.5,
    "lines.linewidth": 1.3,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.titlepad": 3,
    "axes.labelpad": 2,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
}
# On a screen: sharp at the width of a page, the layout found by matplotlib.
SCREEN = {**STYLE, "figure.dpi": 108, "figure.constrained_layout.use": True, "axes.axisbelow": True}

# (zero-forcing, zero-avoiding) -> the word and the colour of the class: those of the paper's four
# losses, in their order.
CLASSES = {
    (True, False): ("zero-forcing", COLOURS[0]),
    (False, True): ("zero-avoiding", COLOURS[1]),
    (False, False): ("neither", COLOURS[2]),
    (True, True): ("both", COLOURS[3]),
}
