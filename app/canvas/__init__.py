"""The one drawing surface that every page uses."""
