-- Agent identities and what is born and dies with them: mailbox, tunnel, phone number, access rows, sign-up.

CREATE TABLE IF NOT EXISTS identities (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    agent_handle TEXT NOT NULL,
    display_name TEXT,
    description TEXT,
    status TEXT NOT NULL DEFAULT 'active',
    imessage_enabled INTEGER NOT NULL DEFAULT 0,
    contact_sharing_enabled INTEGER NOT NULL DEFAULT 1,
    phone_filter_mode_inbound TEXT NOT NULL DEFAULT 'blacklist',
    phone_filter_mode_outbound TEXT NOT NULL DEFAULT 'blacklist',
    slack_filter_mode_inbound TEXT NOT NULL DEFAULT 'blacklist',
    slack_filter_mode_outbound TEXT NOT NULL DEFAULT 'blacklist',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS identities_by_handle ON identities (agent_handle) WHERE status <> 'deleted';
CREATE INDEX IF NOT EXISTS identities_by_organization ON identities (organization_id, created_at);

CREATE TABLE IF NOT EXISTS mailboxes (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    identity_id TEXT REFERENCES identities (id),
    email_address TEXT NOT NULL,
    local_part TEXT NOT NULL,
    domain TEXT NOT NULL,
    filter_mode_inbound TEXT NOT NULL DEFAULT 'blacklist',
    filter_mode_outbound TEXT NOT NULL DEFAULT 'blacklist',
    signature_html TEXT,
    signature_text TEXT,
    signature_enabled INTEGER NOT NULL DEFAULT 0,
    storage_used_bytes INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'active',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS mailboxes_by_address ON mailboxes (email_address) WHERE status <> 'deleted';
CREATE INDEX IF NOT EXISTS mailboxes_by_identity ON mailboxes (identity_id);

CREATE TABLE IF NOT EXISTS tunnels (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    identity_id TEXT REFERENCES identities (id),
    tunnel_name TEXT NOT NULL,
    tls_mode TEXT NOT NULL,
    status TEXT NOT NULL,
    cert_pem TEXT,
    cert_fingerprint_sha256 TEXT,
    cert_expires_at TEXT,
    last_connected_at TEXT,
    last_connected_ip_addr TEXT,
    last_disconnected_at TEXT,
    currently_connected INTEGER NOT NULL DEFAULT 0,
    metadata TEXT NOT NULL DEFAULT '{}',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS tunnels_by_name ON tunnels (tunnel_name) WHERE status <> 'deleted';
CREATE INDEX IF NOT EXISTS tunnels_by_identity ON tunnels (identity_id);

CREATE TABLE IF NOT EXISTS phone_numbers (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    identity_id TEXT REFERENCES identities (id),
    number TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    state TEXT,
    country TEXT NOT NULL DEFAULT 'US',
    sms_status TEXT NOT NULL DEFAULT 'pending',
    sms_error_code TEXT,
    sms_error_detail TEXT,
    sms_ready_at TEXT,
    incoming_call_action TEXT NOT NULL DEFAULT 'auto_reject',
    client_websocket_url TEXT,
    incoming_call_webhook_url TEXT,
    forwarding_target_type TEXT,
    forwarding_phone_number TEXT,
    forwarding_sip_uri TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS phone_numbers_by_identity ON phone_numbers (identity_id) WHERE status <> 'released';

CREATE TABLE IF NOT EXISTS identity_access (
    id TEXT PRIMARY KEY,
    target_identity_id TEXT NOT NULL REFERENCES identities (id),
    viewer_identity_id TEXT REFERENCES identities (id),
    created_at TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS identity_access_by_pair
ON identity_access (target_identity_id, ifnull(viewer_identity_id, ''));

CREATE TABLE IF NOT EXISTS signups (
    identity_id TEXT PRIMARY KEY REFERENCES identities (id),
    human_email TEXT NOT NULL,
    claim_status TEXT NOT NULL DEFAULT 'agent_unclaimed',
    code TEXT NOT NULL,
    code_sent_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    harness TEXT,
    note_to_human TEXT NOT NULL,
    created_at TEXT NOT NULL,
    claimed_at TEXT
);
CREATE INDEX IF NOT EXISTS signups_by_human ON signups (human_email);
