"""Secrets stay secret: one walk through everything that touches one, and everything that could show it."""
