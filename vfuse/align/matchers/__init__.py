"""Matchers by name; a new one is a file here that ends in `MATCHERS.add(MatcherEntry(...))`."""

from vfuse.align.matchers._registry import MATCHERS, Matcher, MatcherEntry, load_matcher

__all__ = ["MATCHERS", "Matcher", "MatcherEntry", "load_matcher"]
