"""Rates, laws and memory beside other libraries."""
