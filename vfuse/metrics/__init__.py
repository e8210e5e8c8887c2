"""Metrics: a file without a leading underscore is one family of measures."""
