"""Contacts of the sandbox: the address book, who sees whom in it, vCards, and whose address something is."""
