-- Contacts: the cards, the addresses and numbers they are found by, and who may see them.

-- Lists are JSON arrays. `search_text` and `sort_name` are case-folded, for comparing in every script.
CREATE TABLE IF NOT EXISTS contacts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    preferred_name TEXT,
    name_prefix TEXT,
    given_name TEXT,
    middle_name TEXT,
    family_name TEXT,
    name_suffix TEXT,
    company_name TEXT,
    job_title TEXT,
    birthday TEXT,
    notes TEXT,
    emails TEXT NOT NULL DEFAULT '[]',
    phones TEXT NOT NULL DEFAULT '[]',
    websites TEXT NOT NULL DEFAULT '[]',
    dates TEXT NOT NULL DEFAULT '[]',
    addresses TEXT NOT NULL DEFAULT '[]',
    custom_fields TEXT NOT NULL DEFAULT '[]',
    status TEXT NOT NULL DEFAULT 'active',
    creation_source TEXT NOT NULL DEFAULT 'manual',
    created_by_identity_id TEXT,
    search_text TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS contacts_by_name ON contacts (organization_id, sort_name) WHERE status <> 'deleted';

-- `value` is comparable (`mail.addresses.comparable`) for addresses, E.164 for numbers; `domain` is of addresses.
CREATE TABLE IF NOT EXISTS contact_identifiers (
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    domain TEXT,
    PRIMARY KEY (contact_id, kind, value)
);
CREATE INDEX IF NOT EXISTS contact_identifiers_by_value ON contact_identifiers (kind, value);

-- One row without an identity, the wildcard, or any number of rows with one.
CREATE TABLE IF NOT EXISTS contact_access (
    id TEXT PRIMARY KEY,
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    identity_id TEXT REFERENCES identities (id),
    created_at TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS contact_access_by_pair ON contact_access (contact_id, ifnull(identity_id, ''));
