-- Mail: conversations, messages with their raw form and attachments, contact rules, and what was sent when.

CREATE TABLE IF NOT EXISTS mail_threads (
    id TEXT PRIMARY KEY,
    mailbox_id TEXT NOT NULL REFERENCES mailboxes (id),
    subject TEXT,
    folder TEXT NOT NULL DEFAULT 'inbox',
    message_count INTEGER NOT NULL DEFAULT 0,
    last_message_at TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_threads_by_mailbox ON mail_threads (mailbox_id, last_message_at);

-- The ids that the messages of a thread refer to, whether or not a message of that id ever came.
CREATE TABLE IF NOT EXISTS mail_thread_references (
    mailbox_id TEXT NOT NULL REFERENCES mailboxes (id),
    message_id TEXT NOT NULL,
    thread_id TEXT NOT NULL REFERENCES mail_threads (id) ON DELETE CASCADE,
    PRIMARY KEY (mailbox_id, message_id, thread_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mail_thread_references_by_thread ON mail_thread_references (thread_id);

-- Lists of addresses and ids are JSON arrays. `seq` orders what happened in one instant, and is the row of `mail_search`.
CREATE TABLE IF NOT EXISTS mail_messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    mailbox_id TEXT NOT NULL REFERENCES mailboxes (id),
    thread_id TEXT NOT NULL REFERENCES mail_threads (id),
    message_id TEXT NOT NULL,
    from_address TEXT NOT NULL,
    from_display_name TEXT,
    reply_to TEXT NOT NULL DEFAULT '[]',
    to_addresses TEXT NOT NULL DEFAULT '[]',
    cc_addresses TEXT NOT NULL DEFAULT '[]',
    bcc_addresses TEXT NOT NULL DEFAULT '[]',
    subject TEXT,
    snippet TEXT,
    body_text TEXT,
    body_html TEXT,
    in_reply_to TEXT,
    reference_ids TEXT NOT NULL DEFAULT '[]',
    direction TEXT NOT NULL,
    status TEXT NOT NULL,
    is_read INTEGER NOT NULL,
    is_starred INTEGER NOT NULL DEFAULT 0,
    has_attachments INTEGER NOT NULL DEFAULT 0,
    is_forward INTEGER NOT NULL DEFAULT 0,
    transport_id TEXT NOT NULL,
    tracking_token TEXT UNIQUE,
    first_opened_at TEXT,
    last_opened_at TEXT,
    open_count INTEGER NOT NULL DEFAULT 0,
    import_job_id TEXT,
    size_bytes INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_messages_by_mailbox ON mail_messages (mailbox_id, created_at, seq);
CREATE INDEX IF NOT EXISTS mail_messages_by_thread ON mail_messages (thread_id, created_at, seq);
CREATE INDEX IF NOT EXISTS mail_messages_by_message_id ON mail_messages (mailbox_id, message_id);
CREATE INDEX IF NOT EXISTS mail_messages_on_the_way ON mail_messages (status) WHERE status IN ('queued', 'sent');

CREATE TABLE IF NOT EXISTS mail_sources (
    message_id TEXT PRIMARY KEY REFERENCES mail_messages (id) ON DELETE CASCADE,
    raw BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS mail_attachments (
    id TEXT PRIMARY KEY,
    message_id TEXT NOT NULL REFERENCES mail_messages (id) ON DELETE CASCADE,
    part_index INTEGER NOT NULL,
    filename TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content_id TEXT,
    is_inline INTEGER NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_attachments_by_message ON mail_attachments (message_id, part_index);

CREATE VIRTUAL TABLE IF NOT EXISTS mail_search USING fts5 (
    subject, addresses, body, tokenize = 'unicode61 remove_diacritics 2'
);

-- One row for each recipient of a message, with what the world makes of it.
CREATE TABLE IF NOT EXISTS mail_recipients (
    message_id TEXT NOT NULL REFERENCES mail_messages (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error_detail TEXT,
    PRIMARY KEY (message_id, address)
);

-- Outlives the messages: deleting mail gives no quota back.
CREATE TABLE IF NOT EXISTS mail_sends (
    mailbox_id TEXT NOT NULL REFERENCES mailboxes (id),
    recipients INTEGER NOT NULL,
    sent_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_sends_by_mailbox ON mail_sends (mailbox_id, sent_at);

CREATE TABLE IF NOT EXISTS mail_contact_rules (
    id TEXT PRIMARY KEY,
    mailbox_id TEXT NOT NULL REFERENCES mailboxes (id),
    action TEXT NOT NULL,
    match_type TEXT NOT NULL,
    match_target TEXT NOT NULL,
    direction TEXT NOT NULL DEFAULT 'both',
    status TEXT NOT NULL DEFAULT 'active',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_contact_rules_by_target
ON mail_contact_rules (mailbox_id, match_type, match_target) WHERE status <> 'deleted';
