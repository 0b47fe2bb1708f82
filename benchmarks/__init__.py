"""Measurements with real servers; what they print stands in docs/performance.md."""
