"""Bytes from outside: every parser gets noise and damaged samples, and may only do what it documents."""
