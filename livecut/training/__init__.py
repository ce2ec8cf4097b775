"""Training and export. Importing its modules imports torch."""
