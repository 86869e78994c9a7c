"""Mail in the local Inkbox: parsing, composing, threading, filtering, delivery and the mail operations."""
