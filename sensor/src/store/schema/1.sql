-- Version 1. Times are nanoseconds since the Unix epoch, UTC. A later version is a further file, never a change here.

-- Whatever has one value: the anchor of the chain after retention, for one.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Everything that was told, in order, each row sealed by the hash of the one before (events.rs). Never changed; the
-- oldest go by retention.
CREATE TABLE events (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    time  INTEGER NOT NULL,
    kind  TEXT NOT NULL CHECK (kind IN ('anomaly', 'decision', 'system')),
    about TEXT NOT NULL,               -- threat_id or decision id, '' for system
    json  TEXT NOT NULL,               -- the message's `data`
    hash  BLOB NOT NULL
) STRICT;
CREATE INDEX events_about ON events (about, id);

-- The alerts as they stand now. `event` is the latest one about it, whose json is the alert as last told.
CREATE TABLE alerts (
    sequence         INTEGER PRIMARY KEY AUTOINCREMENT,
    threat_id        TEXT NOT NULL UNIQUE,
    event            INTEGER NOT NULL,
    raised_at        INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    threat_type      TEXT NOT NULL,
    severity         INTEGER NOT NULL,  -- 0 low, 1 medium, 2 high, 3 critical
    source_ip        TEXT NOT NULL,
    destination_ip   TEXT NOT NULL,
    destination_port INTEGER NOT NULL,
    score            REAL NOT NULL,
    count            INTEGER NOT NULL,
    json             TEXT NOT NULL,
    fingerprint      BLOB,              -- f32, little endian; see incidents
    state            TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'resolved')),
    acknowledged_at  INTEGER,
    acknowledged_by  TEXT,
    resolved_at      INTEGER,
    resolved_by      TEXT,
    resolution       TEXT,              -- JSON: action, root_cause, note, false_positive
    incident_id      TEXT               -- the incident that the resolution became
) STRICT;
CREATE INDEX alerts_state ON alerts (state, sequence, severity);
CREATE INDEX alerts_type ON alerts (threat_type, sequence);
CREATE INDEX alerts_severity ON alerts (severity, sequence);
CREATE INDEX alerts_source ON alerts (source_ip, sequence);
CREATE INDEX alerts_destination ON alerts (destination_ip, sequence);
CREATE INDEX alerts_time ON alerts (raised_at);
CREATE INDEX alerts_event ON alerts (event);
-- Filters that no other index serves are looked up here, without the rows.
CREATE INDEX alerts_scan ON alerts (sequence, state, severity, threat_type, score, raised_at);

-- What each sink has yet to be told, and what became of it.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    sink       TEXT NOT NULL,
    event      INTEGER NOT NULL,
    told       TEXT NOT NULL,              -- raised, updated, resolved, decision, system
    since      INTEGER NOT NULL,           -- pending since: when it was made, or when somebody asked to try again
    state      TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead', 'expired')),
    refused    INTEGER NOT NULL DEFAULT 0, -- of dead ones: the sink said no, it was not given up for time
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL DEFAULT 0,
    error      TEXT NOT NULL DEFAULT '',
    settled_at INTEGER
) STRICT;
CREATE INDEX outbox_pending ON outbox (sink, id) WHERE state = 'pending';
CREATE INDEX outbox_dead ON outbox (sink, refused, id) WHERE state = 'dead';
CREATE INDEX outbox_event ON outbox (event);

-- What became of a sink's messages since the database began; `outbox` says what is pending and dead now.
CREATE TABLE sinks (
    name               TEXT PRIMARY KEY,
    stored             INTEGER NOT NULL DEFAULT 0,
    delivered          INTEGER NOT NULL DEFAULT 0,
    expired_queue_full INTEGER NOT NULL DEFAULT 0,
    expired_removed    INTEGER NOT NULL DEFAULT 0, -- the sink left the configuration
    expired_retention  INTEGER NOT NULL DEFAULT 0, -- a dead letter's event went
    attempts_failed    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Sampled packets around an alert: records of store::evidence. Oldest first out, by bytes.
CREATE TABLE evidence (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    threat_id TEXT NOT NULL,
    packets   INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    data      BLOB NOT NULL
) STRICT;
CREATE INDEX evidence_alert ON evidence (threat_id, id);

-- What happened before and what was done.
CREATE TABLE incidents (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,   -- INC-2026-001
    created_at  INTEGER NOT NULL,
    origin      TEXT NOT NULL CHECK (origin IN ('starter', 'user', 'resolved', 'imported')),
    title       TEXT NOT NULL,
    threat_type TEXT NOT NULL,          -- of ThreatType, or the error_type of an anomaly of others
    severity    TEXT NOT NULL,
    symptom     TEXT NOT NULL,          -- what was seen
    root_cause  TEXT NOT NULL,
    action      TEXT NOT NULL,          -- what was done
    outcome     TEXT NOT NULL,
    threat_id   TEXT,                   -- the alert it was made from
    port        INTEGER,                -- of the service that was concerned; NULL is any
    fingerprint BLOB,
    worked      INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    changed     INTEGER NOT NULL DEFAULT 0  -- `incidents_version` in meta when it was last changed
) STRICT;
CREATE INDEX incidents_changed_at ON incidents (changed);
CREATE INDEX incidents_alert ON incidents (threat_id) WHERE threat_id IS NOT NULL;
CREATE VIRTUAL TABLE incident_text USING fts5 (
    title, threat_type, symptom, root_cause, action, outcome,
    content = 'incidents', content_rowid = 'number', tokenize = 'porter unicode61'
);
CREATE TRIGGER incidents_added AFTER INSERT ON incidents BEGIN
    INSERT INTO incident_text (rowid, title, threat_type, symptom, root_cause, action, outcome)
    VALUES (new.number, new.title, new.threat_type, new.symptom, new.root_cause, new.action, new.outcome);
END;
CREATE TRIGGER incidents_removed AFTER DELETE ON incidents BEGIN
    INSERT INTO incident_text (incident_text, rowid, title, threat_type, symptom, root_cause, action, outcome)
    VALUES ('delete', old.number, old.title, old.threat_type, old.symptom, old.root_cause, old.action, old.outcome);
END;
CREATE TRIGGER incidents_changed AFTER UPDATE OF title, threat_type, symptom, root_cause, action, outcome ON incidents BEGIN
    INSERT INTO incident_text (incident_text, rowid, title, threat_type, symptom, root_cause, action, outcome)
    VALUES ('delete', old.number, old.title, old.threat_type, old.symptom, old.root_cause, old.action, old.outcome);
    INSERT INTO incident_text (rowid, title, threat_type, symptom, root_cause, action, outcome)
    VALUES (new.number, new.title, new.threat_type, new.symptom, new.root_cause, new.action, new.outcome);
END;

-- What was answered to anomalies that others posted.
CREATE TABLE decisions (
    id          TEXT PRIMARY KEY,       -- dec_...
    time        INTEGER NOT NULL,
    error_type  TEXT NOT NULL,
    incident_id TEXT,
    similarity  REAL NOT NULL,
    json        TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_time ON decisions (time);

-- Captures: sessions of /start-capture and uploads that were analysed.
CREATE TABLE captures (
    id          TEXT PRIMARY KEY,       -- made by us, never a name from outside
    kind        TEXT NOT NULL CHECK (kind IN ('live', 'upload')),
    name        TEXT NOT NULL,          -- as the client called it; hostile
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'stopped')),
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    bytes       INTEGER NOT NULL DEFAULT 0,
    request     TEXT NOT NULL,          -- JSON
    result      TEXT,                   -- JSON
    error       TEXT
) STRICT;
CREATE INDEX captures_time ON captures (started_at);

-- Every change that somebody made.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    time   INTEGER NOT NULL,
    who    TEXT NOT NULL,               -- name of the token, 'local' without one, 'cli'
    action TEXT NOT NULL,               -- alert.acknowledge, model.rollback, ...
    target TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
