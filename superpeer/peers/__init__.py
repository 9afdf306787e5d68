"""Who is here: registration, identity, presence."""
