"""Tests of the tunnel listener."""
