"""Serving others."""
