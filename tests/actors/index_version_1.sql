-- An index of schema version 1, as edgecap wrote it (sqlite3 .dump): one job has
-- ended, one ran when the process was killed.
BEGIN TRANSACTION;
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
INSERT INTO "interfaces" VALUES('9ee7c0b42f46f3e6b36277641bd76904',0,'e2e-node','v0','capturing',1,1,NULL,0,NULL,NULL,NULL,NULL,'');
INSERT INTO "interfaces" VALUES('a8753226a4ceaa194f85adb57bef669b',0,'e2e-node','v0','ended',1,1,0,0,0,0,0,0,'');
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
INSERT INTO "jobs" VALUES('9ee7c0b42f46f3e6b36277641bd76904','023e105f4ecef8ad9ca31a8372d0c353','simple','magic-transit',300,10000,NULL,NULL,NULL,NULL,NULL,1795442233003265806,'capturing','none','',0,1795442233041898613,NULL,0,0,0,0);
INSERT INTO "jobs" VALUES('a8753226a4ceaa194f85adb57bef669b','023e105f4ecef8ad9ca31a8372d0c353','simple','magic-transit',300,10000,'192.0.2.1',NULL,NULL,NULL,17,1795442232924639099,'succeeded','stopped','',1,1795442232953952050,1795442232964285662,0,0,24,156);
CREATE INDEX jobs_by_age ON jobs (account_id, submitted DESC, id);
CREATE INDEX jobs_unfinished ON jobs (submitted)
      WHERE phase NOT IN ('succeeded', 'failed');
CREATE INDEX jobs_finished
      ON jobs (finished, id, savefile_bytes, pcapng_bytes)
      WHERE phase IN ('succeeded', 'failed');
PRAGMA application_id = 1162035536;
PRAGMA user_version = 1;
COMMIT;
