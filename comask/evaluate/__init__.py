"""The numbers that say how good predictions are."""
