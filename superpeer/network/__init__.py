"""The network as a whole: its numbers, and the news of it."""
