-- Phone: who agreed to texts, conversations, texts with recipients and files, contact rules, calls and what was said.

CREATE TABLE IF NOT EXISTS sms_opt_ins (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    receiver_number TEXT NOT NULL,
    status TEXT NOT NULL,
    source TEXT NOT NULL,
    opted_in_at TEXT,
    opted_out_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (organization_id, receiver_number)
);

-- Every change of consent through the API.
CREATE TABLE IF NOT EXISTS sms_opt_in_audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    opt_in_id TEXT NOT NULL REFERENCES sms_opt_ins (id),
    key_id TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL
);

-- `participants` is a sorted JSON array of everybody else's numbers: the same people are one conversation.
CREATE TABLE IF NOT EXISTS text_conversations (
    id TEXT PRIMARY KEY,
    phone_number_id TEXT NOT NULL REFERENCES phone_numbers (id),
    participants TEXT NOT NULL,
    is_group INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (phone_number_id, participants)
);

-- `seq` orders what happened in one instant, and is the row of `text_search`.
CREATE TABLE IF NOT EXISTS texts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    phone_number_id TEXT NOT NULL REFERENCES phone_numbers (id),
    conversation_id TEXT NOT NULL REFERENCES text_conversations (id),
    direction TEXT NOT NULL,
    remote_number TEXT,
    sender_number TEXT,
    text TEXT,
    type TEXT NOT NULL,
    origin TEXT NOT NULL DEFAULT 'user_initiated',
    delivery_status TEXT,
    is_read INTEGER NOT NULL,
    is_blocked INTEGER NOT NULL DEFAULT 0,
    is_deleted INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS texts_by_number ON texts (phone_number_id, seq);
CREATE INDEX IF NOT EXISTS texts_by_conversation ON texts (conversation_id, seq);
CREATE INDEX IF NOT EXISTS texts_on_the_way ON texts (seq) WHERE delivery_status IN ('queued', 'sent');

CREATE VIRTUAL TABLE IF NOT EXISTS text_search USING fts5 (
    body, tokenize = 'unicode61 remove_diacritics 2'
);

-- One row for each recipient of a sent text; `outcome` is what the world makes of it.
CREATE TABLE IF NOT EXISTS text_recipients (
    text_id TEXT NOT NULL REFERENCES texts (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    number TEXT NOT NULL,
    delivery_status TEXT NOT NULL DEFAULT 'queued',
    outcome TEXT NOT NULL,
    error_code TEXT,
    error_detail TEXT,
    sent_at TEXT,
    delivered_at TEXT,
    failed_at TEXT,
    PRIMARY KEY (text_id, position)
);

-- `content` is null until it is fetched.
CREATE TABLE IF NOT EXISTS text_media (
    id TEXT PRIMARY KEY,
    text_id TEXT NOT NULL REFERENCES texts (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    url TEXT NOT NULL,
    filename TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BLOB
);
CREATE INDEX IF NOT EXISTS text_media_by_text ON text_media (text_id, position);
CREATE INDEX IF NOT EXISTS text_media_awaited ON text_media (text_id) WHERE content IS NULL;

CREATE TABLE IF NOT EXISTS phone_contact_rules (
    id TEXT PRIMARY KEY,
    phone_number_id TEXT NOT NULL REFERENCES phone_numbers (id),
    action TEXT NOT NULL,
    match_type TEXT NOT NULL,
    match_target TEXT NOT NULL,
    direction TEXT NOT NULL DEFAULT 'both',
    status TEXT NOT NULL DEFAULT 'active',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS phone_contact_rules_by_target
ON phone_contact_rules (phone_number_id, match_type, match_target) WHERE status <> 'deleted';

-- `plan` says what the person at the other end does (JSON), `audio` is what they say (G.711 mu-law, 8 kHz).
CREATE TABLE IF NOT EXISTS calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    identity_id TEXT NOT NULL REFERENCES identities (id),
    phone_number_id TEXT NOT NULL REFERENCES phone_numbers (id),
    local_number TEXT NOT NULL,
    remote_number TEXT NOT NULL,
    direction TEXT NOT NULL,
    status TEXT NOT NULL,
    client_websocket_url TEXT,
    use_inkbox_tts INTEGER,
    use_inkbox_stt INTEGER,
    hangup_reason TEXT,
    is_blocked INTEGER NOT NULL DEFAULT 0,
    on_voicemail TEXT NOT NULL DEFAULT 'hang_up',
    plan TEXT NOT NULL DEFAULT '{}',
    audio BLOB,
    hangup_requested INTEGER NOT NULL DEFAULT 0,
    started_at TEXT,
    ended_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_by_number ON calls (phone_number_id, seq);
CREATE INDEX IF NOT EXISTS calls_by_identity ON calls (identity_id, seq);
CREATE INDEX IF NOT EXISTS calls_by_organization ON calls (organization_id, direction, created_at);
CREATE INDEX IF NOT EXISTS calls_going_on ON calls (seq) WHERE ended_at IS NULL;

CREATE TABLE IF NOT EXISTS call_transcripts (
    rank INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    call_id TEXT NOT NULL REFERENCES calls (id),
    seq INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    party TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (call_id, seq)
);

CREATE VIRTUAL TABLE IF NOT EXISTS call_search USING fts5 (
    body, tokenize = 'unicode61 remove_diacritics 2'
);

-- What the agent has sent over the WebSocket, as it was.
CREATE TABLE IF NOT EXISTS call_frames (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id TEXT NOT NULL REFERENCES calls (id),
    frame TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS call_frames_by_call ON call_frames (call_id, seq);
