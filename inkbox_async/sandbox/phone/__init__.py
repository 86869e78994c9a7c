"""The phone of the sandbox: numbers, calls, texts, consent to texts and contact rules."""
