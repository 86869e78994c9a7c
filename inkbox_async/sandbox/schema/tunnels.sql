-- Certificates signed for passthrough tunnels, kept for the limit on how many there may be in a week.
CREATE TABLE IF NOT EXISTS tunnel_certificates (
    fingerprint_sha256 TEXT PRIMARY KEY,
    tunnel_id TEXT NOT NULL REFERENCES tunnels (id),
    issued_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS tunnel_certificates_by_tunnel ON tunnel_certificates (tunnel_id, issued_at);
