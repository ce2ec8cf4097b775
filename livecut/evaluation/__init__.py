"""How good a network is, on pictures and on sequences."""
