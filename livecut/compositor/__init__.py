"""Putting frame, alpha and background together."""
