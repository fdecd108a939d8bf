"""Hyper-grids, bit sequences, sets, trees and small graphs."""
