"""What both daemons stand on: wire types, the arithmetic of content, how a daemon lives, HTTP's edges, serving,
SQLite."""
