"""Tests of the tunnel edge, through real sockets."""
