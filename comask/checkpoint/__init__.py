"""Weights files: our own safetensors and the authors' pickled checkpoints."""
