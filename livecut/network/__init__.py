"""The networks. Importing a module of this imports torch."""
