"""Pure functions on tensors: boxes, pooling, matching and masks."""
