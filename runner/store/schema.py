"""The ledger's tables, as a list of migrations applied in order. A migration is never edited, only followed."""

from __future__ import annotations

MIGRATIONS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        created_at REAL NOT NULL,
        finished_at REAL,
        stop_reason TEXT,
        seed INTEGER NOT NULL,
        settings TEXT NOT NULL,
        spent_s REAL NOT NULL DEFAULT 0 CHECK (spent_s >= 0)
    ) STRICT;
    CREATE TABLE experiments (
        run TEXT NOT NULL REFERENCES runs (id),
        number INTEGER NOT NULL CHECK (number >= 0),
        parent INTEGER,
        title TEXT NOT NULL,
        hypothesis TEXT NOT NULL,
        category TEXT NOT NULL,
        source BLOB,
        source_sha256 TEXT,
        fingerprint TEXT,
        nodes INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL CHECK (state IN ('proposed', 'checked', 'training', 'trained', 'collected', 'judged',
            'decided', 'failed')),
        status TEXT NOT NULL DEFAULT 'open',
        reason TEXT,
        val_bpb REAL CHECK (val_bpb IS NULL OR (val_bpb >= 0 AND val_bpb < 1e9)),
        delta REAL,
        margin REAL,
        test_bpb REAL,
        image TEXT,
        tag TEXT,
        git_commit TEXT,
        created_at REAL NOT NULL,
        PRIMARY KEY (run, number)
    ) STRICT;
    CREATE TABLE attempts (
        run TEXT NOT NULL,
        number INTEGER NOT NULL,
        attempt INTEGER NOT NULL CHECK (attempt >= 1),
        seed INTEGER NOT NULL,
        folder TEXT NOT NULL,
        started_at REAL NOT NULL,
        finished_at REAL,
        outcome TEXT CHECK (outcome IN ('ok', 'crash', 'timeout_no_artifact', 'oom', 'no_artifact', 'bad_artifact',
            'invalid_model', 'too_slow', 'rejected', 'infrastructure')),
        reason TEXT,
        val_bpb REAL CHECK (val_bpb IS NULL OR (outcome = 'ok' AND val_bpb >= 0 AND val_bpb < 1e9)),
        seconds REAL,
        params_sha256 TEXT,
        memory_bytes INTEGER,
        contended INTEGER NOT NULL DEFAULT 0,
        log_tail TEXT NOT NULL DEFAULT '',
        detail TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (run, number, attempt),
        FOREIGN KEY (run, number) REFERENCES experiments (run, number)
    ) STRICT;
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER events_are_append_only BEFORE UPDATE ON events
        BEGIN SELECT RAISE (ABORT, 'events are append-only'); END;
    CREATE TRIGGER events_are_kept BEFORE DELETE ON events
        BEGIN SELECT RAISE (ABORT, 'events are append-only'); END;
    """,
    """
    ALTER TABLE experiments ADD COLUMN author TEXT NOT NULL DEFAULT '';
    ALTER TABLE experiments ADD COLUMN expected_gain REAL;
    ALTER TABLE experiments ADD COLUMN risk TEXT NOT NULL DEFAULT '';
    ALTER TABLE experiments ADD COLUMN constants_only INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id),
        number INTEGER NOT NULL,
        purpose TEXT NOT NULL,
        model TEXT NOT NULL,
        prompt_sha256 TEXT NOT NULL,
        started_at REAL NOT NULL,
        finished_at REAL,
        reserved_tokens INTEGER NOT NULL CHECK (reserved_tokens >= 0),
        reserved_usd REAL NOT NULL CHECK (reserved_usd >= 0 AND reserved_usd < 1e9),
        state TEXT NOT NULL DEFAULT 'reserved' CHECK (state IN ('reserved', 'answered', 'refused', 'unknown')),
        prompt_tokens INTEGER CHECK (prompt_tokens >= 0),
        cached_tokens INTEGER CHECK (cached_tokens >= 0),
        completion_tokens INTEGER CHECK (completion_tokens >= 0),
        cost_usd REAL CHECK (cost_usd IS NULL OR (cost_usd >= 0 AND cost_usd < 1e9)),
        detail TEXT NOT NULL DEFAULT ''
    ) STRICT;
    """,
    """
    ALTER TABLE calls ADD COLUMN about_sha256 TEXT NOT NULL DEFAULT '';
    ALTER TABLE calls ADD COLUMN answer TEXT;
    ALTER TABLE calls ADD COLUMN finish TEXT NOT NULL DEFAULT '';
    """,
    """
    -- from the workspace on: where the workspace was when an older version wrote does not matter any more
    UPDATE attempts SET folder = '.autoresearch/experiments/' || run || '/' || printf('%04d', number) || '/' || attempt;
    """,
    """
    ALTER TABLE experiments ADD COLUMN facts TEXT;
    ALTER TABLE calls ADD COLUMN reading TEXT NOT NULL DEFAULT 'no' CHECK (reading IN ('no', 'begun', 'survived'));
    """,
    """
    -- what is large lies in a table of its own: else every look at a row's other columns reads past it
    CREATE TABLE scripts (
        run TEXT NOT NULL,
        number INTEGER NOT NULL,
        source BLOB,
        facts TEXT,
        PRIMARY KEY (run, number),
        FOREIGN KEY (run, number) REFERENCES experiments (run, number)
    ) STRICT;
    INSERT INTO scripts (run, number, source, facts) SELECT run, number, source, facts FROM experiments;
    ALTER TABLE experiments DROP COLUMN source;
    ALTER TABLE experiments DROP COLUMN facts;
    CREATE INDEX experiments_by_status ON experiments (run, status, number);
    CREATE INDEX experiments_by_script ON experiments (source_sha256);
    CREATE INDEX experiments_by_tag ON experiments (tag) WHERE tag IS NOT NULL;
    CREATE INDEX events_by_run ON events (run, id);
    CREATE INDEX calls_by_run ON calls (run, number);
    """,
    """
    -- a table of its own again, because SQLite changes no CHECK; the rowid is the order in which attempts were begun
    CREATE TABLE new_attempts (
        run TEXT NOT NULL,
        number INTEGER NOT NULL,
        attempt INTEGER NOT NULL CHECK (attempt >= 1),
        seed INTEGER NOT NULL,
        folder TEXT NOT NULL,
        started_at REAL NOT NULL,
        finished_at REAL,
        outcome TEXT CHECK (outcome IN ('ok', 'crash', 'timeout_no_artifact', 'oom', 'no_artifact', 'bad_artifact',
            'invalid_model', 'too_slow', 'stopped_early', 'rejected', 'infrastructure')),
        reason TEXT,
        val_bpb REAL CHECK (val_bpb IS NULL OR (outcome = 'ok' AND val_bpb >= 0 AND val_bpb < 1e9)),
        seconds REAL,
        params_sha256 TEXT,
        memory_bytes INTEGER,
        contended INTEGER NOT NULL DEFAULT 0,
        log_tail TEXT NOT NULL DEFAULT '',
        detail TEXT NOT NULL DEFAULT '',
        early_stop TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (run, number, attempt),
        FOREIGN KEY (run, number) REFERENCES experiments (run, number)
    ) STRICT;
    INSERT INTO new_attempts (rowid, run, number, attempt, seed, folder, started_at, finished_at, outcome, reason, val_bpb,
            seconds, params_sha256, memory_bytes, contended, log_tail, detail)
        SELECT rowid, run, number, attempt, seed, folder, started_at, finished_at, outcome, reason, val_bpb, seconds,
            params_sha256, memory_bytes, contended, log_tail, detail FROM attempts;
    DROP TABLE attempts;
    ALTER TABLE new_attempts RENAME TO attempts;
    """,
    """
    -- adopting is a bet, a confirmation is a claim: what each rests on
    ALTER TABLE experiments ADD COLUMN delta_error REAL;
    ALTER TABLE experiments ADD COLUMN expected_delta REAL;
    ALTER TABLE experiments ADD COLUMN expected_error REAL;
    ALTER TABLE experiments ADD COLUMN better REAL CHECK (better IS NULL OR (better >= 0 AND better <= 1));
    CREATE TABLE confirmations (
        run TEXT NOT NULL REFERENCES runs (id),
        id INTEGER NOT NULL CHECK (id >= 1),
        candidate INTEGER NOT NULL,
        reference INTEGER NOT NULL,
        first_seed INTEGER NOT NULL CHECK (first_seed >= 0),
        most_pairs INTEGER NOT NULL CHECK (most_pairs >= 1),
        verdict TEXT NOT NULL DEFAULT 'open' CHECK (verdict IN ('open', 'confirmed', 'not_confirmed')),
        reason TEXT,
        pairs INTEGER NOT NULL DEFAULT 0 CHECK (pairs >= 0),
        reference_bpb REAL,
        candidate_bpb REAL,
        delta REAL,
        low REAL,
        high REAL,
        started_at REAL NOT NULL,
        finished_at REAL,
        PRIMARY KEY (run, id)
    ) STRICT;
    ALTER TABLE attempts ADD COLUMN confirmation INTEGER;
    """,
    """
    -- several trainings at once: experiments are no longer decided in the order of their numbers. So far each was decided before the
    -- next one, or a confirmation, was begun.
    ALTER TABLE experiments ADD COLUMN decision INTEGER;
    ALTER TABLE experiments ADD COLUMN decided_after INTEGER;
    CREATE TABLE begun (run TEXT NOT NULL, number INTEGER NOT NULL, first INTEGER NOT NULL, PRIMARY KEY (run, number));
    INSERT INTO begun SELECT run, number, min(rowid) FROM attempts GROUP BY run, number;
    CREATE TABLE confirming (run TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (run, at));
    INSERT INTO confirming SELECT run, rowid FROM attempts WHERE confirmation IS NOT NULL;
    UPDATE experiments SET decision = number + 1, decided_after = min(
        coalesce((SELECT first - 1 FROM begun WHERE begun.run = experiments.run AND begun.number > experiments.number
            ORDER BY begun.number LIMIT 1), 9223372036854775807),
        coalesce((SELECT at - 1 FROM confirming WHERE confirming.run = experiments.run AND at > (SELECT first FROM begun
            WHERE begun.run = experiments.run AND begun.number = experiments.number) ORDER BY at LIMIT 1), 9223372036854775807))
        WHERE status IN ('keep', 'discard');
    DROP TABLE begun;
    DROP TABLE confirming;
    """,
    """
    -- a row of attempts holds a log: how many of them count is answered without reading it
    CREATE INDEX attempts_counted ON attempts (run, number) WHERE outcome = 'ok' AND NOT contended;
    CREATE INDEX experiments_by_decision ON experiments (run, decision);
    CREATE INDEX confirmed ON confirmations (run, candidate) WHERE verdict = 'confirmed';
    """,
    """
    -- of a run that ended after its last decision nothing had been begun later, so the place above was the end of time
    UPDATE experiments SET decided_after = coalesce(
        (SELECT min(rowid) - 1 FROM attempts WHERE attempts.run = experiments.run AND attempts.number > experiments.number),
        (SELECT max(rowid) FROM attempts WHERE attempts.run = experiments.run), 0)
        WHERE decided_after = 9223372036854775807;
    """,
)
