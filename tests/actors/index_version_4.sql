-- An index of schema version 4 (sqlite3 .dump): one job has ended, one ran when
-- the process was killed; it has a key, was interrupted once before, and counts
-- against its account's allowance.
BEGIN TRANSACTION;
CREATE TABLE idempotency_keys (
      account_id TEXT    NOT NULL,
      key        TEXT    NOT NULL,
      job_id     TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
      created    INTEGER NOT NULL,
      PRIMARY KEY (account_id, key)
    ) STRICT, WITHOUT ROWID;
INSERT INTO idempotency_keys VALUES('023e105f4ecef8ad9ca31a8372d0c353','the-key','c9725cda7c050866d8a254bd633cdbb9',1795931366929597250);
CREATE TABLE interfaces (
      job_id               TEXT    NOT NULL
                                   REFERENCES jobs (id) ON DELETE CASCADE,
      run                  INTEGER NOT NULL,
      node                 TEXT    NOT NULL,
      interface            TEXT    NOT NULL,
      phase                TEXT    NOT NULL,
      link_type            INTEGER,
      sampling_one_in      INTEGER NOT NULL,
      packets_matched      INTEGER,
      packets_captured     INTEGER NOT NULL,
      packets_sampled_out  INTEGER,
      dropped_by_kernel    INTEGER,
      dropped_by_interface INTEGER,
      dropped_by_us        INTEGER,
      error                TEXT    NOT NULL,
      PRIMARY KEY (job_id, run)
    ) STRICT, WITHOUT ROWID;
INSERT INTO interfaces VALUES('bbeb072afee41e0fced5aac3d1ec335d',0,'e2e-node','v0','ended',1,1,0,0,0,0,0,0,'');
INSERT INTO interfaces VALUES('c9725cda7c050866d8a254bd633cdbb9',0,'e2e-node','v0','capturing',1,1,NULL,0,NULL,NULL,NULL,NULL,'');
CREATE TABLE jobs (
      id                         TEXT    NOT NULL PRIMARY KEY,
      account_id                 TEXT    NOT NULL,
      type                       TEXT    NOT NULL,
      system                     TEXT    NOT NULL,
      time_limit_s               INTEGER NOT NULL,
      packet_limit               INTEGER NOT NULL,
      filter_source_address      TEXT,
      filter_destination_address TEXT,
      filter_source_port         INTEGER,
      filter_destination_port    INTEGER,
      filter_protocol            INTEGER,
      submitted                  INTEGER NOT NULL,
      phase                      TEXT    NOT NULL,
      reason                     TEXT    NOT NULL,
      error_message              TEXT    NOT NULL,
      stop_requested             INTEGER NOT NULL,
      started                    INTEGER,
      finished                   INTEGER,
      packets_captured           INTEGER NOT NULL,
      bytes_captured             INTEGER NOT NULL,
      savefile_bytes             INTEGER NOT NULL,
      pcapng_bytes               INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO jobs VALUES('bbeb072afee41e0fced5aac3d1ec335d','023e105f4ecef8ad9ca31a8372d0c353','simple','magic-transit',300,10000,NULL,NULL,NULL,NULL,17,1795931366847660610,'succeeded','stopped','',1,1795931366874881852,1795931366900329234,0,0,24,156);
INSERT INTO jobs VALUES('c9725cda7c050866d8a254bd633cdbb9','023e105f4ecef8ad9ca31a8372d0c353','simple','magic-transit',300,10000,NULL,NULL,NULL,NULL,NULL,1795931366929597250,'capturing','none','',0,1795931366932500484,NULL,0,0,0,0);
CREATE TABLE sums (
      account_id TEXT    NOT NULL,
      type       TEXT    NOT NULL,
      phase      TEXT    NOT NULL,
      jobs       INTEGER NOT NULL,
      bytes      INTEGER NOT NULL,
      PRIMARY KEY (account_id, type, phase)
    ) STRICT, WITHOUT ROWID;
INSERT INTO sums VALUES('023e105f4ecef8ad9ca31a8372d0c353','simple','capturing',1,0);
INSERT INTO sums VALUES('023e105f4ecef8ad9ca31a8372d0c353','simple','pending',0,0);
INSERT INTO sums VALUES('023e105f4ecef8ad9ca31a8372d0c353','simple','sealing',0,0);
INSERT INTO sums VALUES('023e105f4ecef8ad9ca31a8372d0c353','simple','succeeded',1,180);
CREATE TABLE interruptions (
      job_id TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
      number INTEGER NOT NULL,
      began  INTEGER NOT NULL,
      ended  INTEGER,
      PRIMARY KEY (job_id, number)
    ) STRICT, WITHOUT ROWID;
INSERT INTO interruptions VALUES('c9725cda7c050866d8a254bd633cdbb9',0,1795931367000000000,1795931368000000000);
CREATE TABLE collects (
      job_id     TEXT    NOT NULL PRIMARY KEY,
      account_id TEXT    NOT NULL,
      moment     INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO collects VALUES('c9725cda7c050866d8a254bd633cdbb9','023e105f4ecef8ad9ca31a8372d0c353',1795931366929597250);
CREATE INDEX jobs_unfinished ON jobs (submitted)
      WHERE phase NOT IN ('succeeded', 'failed');
CREATE INDEX jobs_finished
      ON jobs (finished, id, savefile_bytes, pcapng_bytes)
      WHERE phase IN ('succeeded', 'failed');
CREATE INDEX idempotency_keys_of_job ON idempotency_keys (job_id);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created);
CREATE INDEX idempotency_keys_of_account
      ON idempotency_keys (account_id, created, key);
CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
      INSERT INTO sums VALUES (new.account_id, new.type, new.phase, 1,
                               new.savefile_bytes + new.pcapng_bytes)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1,
                                  bytes = bytes + excluded.bytes;
    END;
CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
      UPDATE sums SET jobs = jobs - 1,
             bytes = bytes - old.savefile_bytes - old.pcapng_bytes
        WHERE account_id = old.account_id AND type = old.type
              AND phase = old.phase;
    END;
CREATE TRIGGER jobs_changed
      AFTER UPDATE OF phase, savefile_bytes, pcapng_bytes ON jobs BEGIN
      UPDATE sums SET jobs = jobs - 1,
             bytes = bytes - old.savefile_bytes - old.pcapng_bytes
        WHERE account_id = old.account_id AND type = old.type
              AND phase = old.phase;
      INSERT INTO sums VALUES (new.account_id, new.type, new.phase, 1,
                               new.savefile_bytes + new.pcapng_bytes)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1,
                                  bytes = bytes + excluded.bytes;
    END;
CREATE INDEX jobs_by_age
      ON jobs (account_id, submitted DESC, id, type, phase);
CREATE INDEX collects_by_age ON collects (moment, account_id);
PRAGMA application_id = 1162035536;
PRAGMA user_version = 4;
COMMIT;
