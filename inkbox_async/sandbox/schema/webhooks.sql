-- Webhooks: subscriptions, the events that were fired, what is still to be delivered, and every attempt.

CREATE TABLE IF NOT EXISTS webhook_subscriptions (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    mailbox_id TEXT,
    phone_number_id TEXT,
    agent_identity_id TEXT,
    owner_identity_id TEXT,
    url TEXT NOT NULL,
    event_types TEXT NOT NULL,
    auth_token TEXT,
    status TEXT NOT NULL DEFAULT 'active',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS webhook_subscriptions_by_organization
ON webhook_subscriptions (organization_id, created_at);

CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    mailbox_id TEXT,
    phone_number_id TEXT,
    agent_identity_id TEXT,
    event_type TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS webhook_deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL REFERENCES events (id),
    subscription_id TEXT NOT NULL REFERENCES webhook_subscriptions (id),
    status TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at TEXT NOT NULL,
    CHECK (status IN ('waiting', 'delivered', 'given_up', 'canceled'))
);
CREATE INDEX IF NOT EXISTS webhook_deliveries_waiting
ON webhook_deliveries (subscription_id, seq) WHERE status = 'waiting';

CREATE TABLE IF NOT EXISTS webhook_attempts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    subscription_id TEXT,
    phone_number_id TEXT,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    url TEXT NOT NULL,
    request_id TEXT NOT NULL,
    signed INTEGER NOT NULL,
    request_payload TEXT,
    response_status INTEGER,
    response_body TEXT,
    error_detail TEXT,
    duration_ms INTEGER NOT NULL,
    next_attempt_at TEXT,
    created_at TEXT NOT NULL
);

-- A subscription ends with its owner.
CREATE TRIGGER IF NOT EXISTS webhook_subscriptions_end_with_identity
AFTER UPDATE OF status ON identities WHEN new.status = 'deleted'
BEGIN
    UPDATE webhook_subscriptions SET status = 'deleted', updated_at = new.updated_at
    WHERE status = 'active' AND owner_identity_id = new.id;
END;

CREATE TRIGGER IF NOT EXISTS webhook_subscriptions_end_with_mailbox
AFTER UPDATE OF status ON mailboxes WHEN new.status = 'deleted'
BEGIN
    UPDATE webhook_subscriptions SET status = 'deleted', updated_at = new.updated_at
    WHERE status = 'active' AND mailbox_id = new.id;
END;

CREATE TRIGGER IF NOT EXISTS webhook_subscriptions_end_with_phone_number
AFTER UPDATE OF status ON phone_numbers WHEN new.status = 'released'
BEGIN
    UPDATE webhook_subscriptions SET status = 'deleted', updated_at = new.updated_at
    WHERE status = 'active' AND phone_number_id = new.id;
END;

CREATE TRIGGER IF NOT EXISTS webhook_deliveries_end_with_subscription
AFTER UPDATE OF status ON webhook_subscriptions WHEN new.status = 'deleted'
BEGIN
    UPDATE webhook_deliveries SET status = 'canceled' WHERE subscription_id = new.id AND status = 'waiting';
END;
