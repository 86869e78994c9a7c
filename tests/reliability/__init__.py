"""What is promised for bad days, and shown: see `docs/reliability.md`."""
