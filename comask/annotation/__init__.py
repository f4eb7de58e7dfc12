"""COCO datasets, masks and results as plain values; readable without torch."""
