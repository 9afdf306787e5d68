"""A machine that shares and fetches."""
