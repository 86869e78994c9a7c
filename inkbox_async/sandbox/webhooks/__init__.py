"""Webhooks of the sandbox: subscriptions, deliveries of events, and the question what to do with a call."""
