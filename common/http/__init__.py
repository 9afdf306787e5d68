"""What lies between a socket and a handler, in both daemons: limits, deadlines, who may call, bodies in, problems
out."""
