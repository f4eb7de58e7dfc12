"""Images and their truth on the way from files to batches."""
