"""Tests of webhooks: signatures, payloads, subscriptions, receivers, deliveries."""
