"""How a daemon lives: its clock, its background jobs, its settings, its logs."""
