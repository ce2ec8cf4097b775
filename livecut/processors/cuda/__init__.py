"""Frames cut out and composited on an NVIDIA GPU by PyTorch."""
