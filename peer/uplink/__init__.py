"""This peer's line to its super-peer."""
