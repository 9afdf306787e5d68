"""What the network holds: catalogues in, searches, listings and sources out."""
