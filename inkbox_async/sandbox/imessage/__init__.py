"""iMessage in the sandbox: the triage line, connections, conversations, tapbacks, files and contact rules."""
