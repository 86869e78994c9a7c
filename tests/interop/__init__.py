"""Both clients, ours and the published one, side by side."""
