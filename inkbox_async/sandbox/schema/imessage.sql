-- iMessage: who is connected with which agent, conversations, messages, tapbacks, files, contact rules.

CREATE TABLE IF NOT EXISTS imessage_assignments (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    identity_id TEXT NOT NULL REFERENCES identities (id),
    remote_number TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    released_at TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS imessage_assignments_active
ON imessage_assignments (identity_id, remote_number) WHERE status = 'active';
CREATE INDEX IF NOT EXISTS imessage_assignments_by_number ON imessage_assignments (remote_number, status);

-- One for each pair of person and agent, however often they connect; `assignment_id` is the latest connection.
CREATE TABLE IF NOT EXISTS imessage_conversations (
    id TEXT PRIMARY KEY,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    remote_number TEXT NOT NULL,
    assignment_id TEXT NOT NULL REFERENCES imessage_assignments (id),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (identity_id, remote_number)
);

-- `outcome` is what awaits a message that is on its way. `media` is a JSON array of files: `media_id` of an upload, or `url`.
CREATE TABLE IF NOT EXISTS imessage_messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    conversation_id TEXT NOT NULL REFERENCES imessage_conversations (id),
    assignment_id TEXT NOT NULL REFERENCES imessage_assignments (id),
    direction TEXT NOT NULL,
    content TEXT,
    media TEXT NOT NULL DEFAULT '[]',
    send_style TEXT,
    service TEXT NOT NULL DEFAULT 'imessage',
    status TEXT NOT NULL,
    is_read INTEGER NOT NULL DEFAULT 0,
    is_blocked INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    error_code TEXT,
    error_message TEXT,
    error_reason TEXT,
    error_detail TEXT,
    sent_at TEXT,
    delivered_at TEXT,
    failed_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS imessage_messages_by_conversation ON imessage_messages (conversation_id, seq);
CREATE INDEX IF NOT EXISTS imessage_messages_on_the_way
ON imessage_messages (status) WHERE status IN ('queued', 'sent');

CREATE TABLE IF NOT EXISTS imessage_reactions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    message_id TEXT NOT NULL REFERENCES imessage_messages (id),
    assignment_id TEXT NOT NULL REFERENCES imessage_assignments (id),
    direction TEXT NOT NULL,
    reaction TEXT NOT NULL,
    custom_emoji TEXT,
    part_index INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (message_id, part_index, direction)
);

CREATE TABLE IF NOT EXISTS imessage_media (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    filename TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BLOB NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS imessage_contact_rules (
    id TEXT PRIMARY KEY,
    identity_id TEXT NOT NULL REFERENCES identities (id),
    action TEXT NOT NULL,
    match_type TEXT NOT NULL,
    match_target TEXT NOT NULL,
    direction TEXT NOT NULL DEFAULT 'both',
    status TEXT NOT NULL DEFAULT 'active',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS imessage_contact_rules_by_target
ON imessage_contact_rules (identity_id, match_type, match_target) WHERE status <> 'deleted';
