"""The owner's line to this peer: API, page, command line."""
