-- Notes, and which identities may see them.

-- `search_text` is title and body, case-folded.
CREATE TABLE IF NOT EXISTS notes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    created_by TEXT NOT NULL,
    title TEXT,
    body TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    search_text TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS notes_by_change ON notes (organization_id, updated_at) WHERE status <> 'deleted';

CREATE TABLE IF NOT EXISTS note_access (
    id TEXT PRIMARY KEY,
    note_id TEXT NOT NULL REFERENCES notes (id),
    identity_id TEXT NOT NULL REFERENCES identities (id),
    created_at TEXT NOT NULL,
    UNIQUE (note_id, identity_id)
);
