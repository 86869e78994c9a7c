-- Organizations, their keys, what left for the outside, remembered sends, and the sandbox's own memory.

CREATE TABLE IF NOT EXISTS meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS organizations (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    email_address TEXT NOT NULL,
    password TEXT NOT NULL,
    default_domain TEXT,
    customer_campaign INTEGER NOT NULL DEFAULT 0,
    limits TEXT NOT NULL DEFAULT '{}',
    provisional INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    scoped_identity_id TEXT,
    secret_sha256 TEXT NOT NULL,
    last4 TEXT NOT NULL,
    label TEXT NOT NULL,
    description TEXT,
    created_by TEXT NOT NULL,
    creator_type TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    last_used_at TEXT,
    expires_at TEXT,
    revoked_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS api_keys_by_identity ON api_keys (scoped_identity_id);

CREATE TABLE IF NOT EXISTS signing_keys (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    identity_id TEXT,
    secret TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS signing_keys_by_owner ON signing_keys (organization_id, ifnull(identity_id, ''));

CREATE TABLE IF NOT EXISTS sending_domains (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    domain TEXT NOT NULL,
    status TEXT NOT NULL,
    verified_at TEXT,
    created_at TEXT NOT NULL,
    UNIQUE (organization_id, domain)
);

CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    organization_id TEXT,
    resource_id TEXT,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    subject TEXT,
    text TEXT,
    html TEXT,
    media_urls TEXT NOT NULL DEFAULT '[]',
    raw BLOB,
    created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_by_channel ON outbox (channel, seq);

CREATE TABLE IF NOT EXISTS sends (
    organization_id TEXT NOT NULL,
    sender_kind TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    input_sha256 TEXT NOT NULL,
    message_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    answer BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, sender_kind, sender_id, operation, idempotency_key)
);
