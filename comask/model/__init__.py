"""The network stage by stage, its targets, its losses and what becomes of its output."""
