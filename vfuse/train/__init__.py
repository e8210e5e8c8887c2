"""Training: one recipe file per network over one shared loop."""
