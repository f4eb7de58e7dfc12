"""Pages: build() lays out, wire() connects."""
