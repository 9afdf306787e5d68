"""Bytes of a file onto a socket, for both daemons."""
