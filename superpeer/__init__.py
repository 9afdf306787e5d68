"""The meeting point: knows who is here, who has which file, and tells whoever asks."""
