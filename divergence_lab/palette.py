"""The colours of every figure and page: Okabe and Ito's eight, safe for colour-blind readers."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
