"""Desired × current → decisions. No I/O."""
