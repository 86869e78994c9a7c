-- What awaits the next messages and calls to addresses and numbers outside.

CREATE TABLE IF NOT EXISTS outcomes (
    channel TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error_code TEXT,
    error_detail TEXT,
    script TEXT NOT NULL DEFAULT '[]',
    remaining INTEGER,
    PRIMARY KEY (channel, target)
);
