-- The vault as a server may know it: verifiers, wraps and ciphertext as opaque text, names, and who has access.

CREATE TABLE IF NOT EXISTS vaults (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL UNIQUE REFERENCES organizations (id),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- Only organizations whose vault is unlike that of today's servers have a row here.
CREATE TABLE IF NOT EXISTS vault_settings (
    organization_id TEXT PRIMARY KEY REFERENCES organizations (id),
    access_inlined INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS vault_keys (
    id TEXT PRIMARY KEY,
    vault_id TEXT NOT NULL REFERENCES vaults (id),
    key_type TEXT NOT NULL,
    auth_hash TEXT NOT NULL,
    wrapped_org_encryption_key TEXT NOT NULL,
    created_by TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (vault_id, auth_hash)
);

CREATE TABLE IF NOT EXISTS vault_secrets (
    id TEXT PRIMARY KEY,
    vault_id TEXT NOT NULL REFERENCES vaults (id),
    name TEXT NOT NULL,
    description TEXT,
    secret_type TEXT NOT NULL,
    encrypted_payload TEXT NOT NULL,
    creator_identity_id TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS vault_secrets_by_vault ON vault_secrets (vault_id, created_at);

CREATE TABLE IF NOT EXISTS vault_access (
    id TEXT PRIMARY KEY,
    vault_secret_id TEXT NOT NULL REFERENCES vault_secrets (id) ON DELETE CASCADE,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    created_at TEXT NOT NULL,
    UNIQUE (vault_secret_id, identity_id)
);
CREATE INDEX IF NOT EXISTS vault_access_by_identity ON vault_access (identity_id);
