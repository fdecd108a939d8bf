"""The page of tables3_4_bits.py, from its committed results alone."""
def write() -> None:
    """stub"""
