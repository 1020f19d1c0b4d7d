BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005_noise_floors');
CREATE TABLE checkpoints (
	id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	uri TEXT NOT NULL, 
	name TEXT NOT NULL, 
	step BIGINT, 
	description JSON NOT NULL, 
	tags JSON NOT NULL, 
	created_at DATETIME NOT NULL, is_noise_floor BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_checkpoints PRIMARY KEY (id), 
	CONSTRAINT uq_checkpoints_digest UNIQUE (digest)
);
INSERT INTO "checkpoints" VALUES(1,'40b18075d7a4e9fbdf1b0d9be639363e58d8e95894ecbe2443314cc6f547234b','/checkpoints/beta4/step-100','beta4/step-100',NULL,'{"format": "linear-gaussian", "posterior": "diagonal", "latent_shape": [2]}','{}','2026-11-22 15:45:20.783000',0);
INSERT INTO "checkpoints" VALUES(2,'139e41d780aec49de124fee90c6cf9f670eb66572366470e38325d5f4aa8edf5','/checkpoints/beta4/step-200','beta4/step-200',NULL,'{"format": "linear-gaussian", "posterior": "diagonal", "latent_shape": [2]}','{}','2026-11-22 15:45:20.930000',0);
INSERT INTO "checkpoints" VALUES(3,'8b180f242f36e7a4779a5cbc775b667e166e7c829ff184b20043157e233fddb9','/checkpoints/beta4/step-300','beta4/step-300',NULL,'{"format": "linear-gaussian", "posterior": "diagonal", "latent_shape": [2]}','{}','2026-11-22 15:45:20.964000',0);
CREATE TABLE datasets (
	id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	uri TEXT NOT NULL, 
	name TEXT NOT NULL, 
	num_images INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_datasets PRIMARY KEY (id), 
	CONSTRAINT uq_datasets_digest UNIQUE (digest)
);
INSERT INTO "datasets" VALUES(1,'cc6b6bad31a0ff4d6dfd4953a6346a1c463d884723898a2af964b998e5499e22','digits:test','digits:test',500,'2026-11-22 15:45:20.781000');
CREATE TABLE evaluations (
	id INTEGER NOT NULL, 
	checkpoint_id INTEGER NOT NULL, 
	protocol_id INTEGER NOT NULL, 
	reference_id INTEGER NOT NULL, 
	priority INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	error TEXT, 
	lease_owner TEXT, 
	lease_token INTEGER NOT NULL, 
	lease_expires_at DATETIME, 
	attempts INTEGER NOT NULL, 
	pictures_key TEXT, 
	pictures_digest VARCHAR(64), 
	submitted_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, influence_key TEXT, influence_digest VARCHAR(64), turn BIGINT DEFAULT '0' NOT NULL, fid DOUBLE, fid_std_error DOUBLE, 
	CONSTRAINT pk_evaluations PRIMARY KEY (id), 
	CONSTRAINT uq_evaluations_checkpoint_id_protocol_id UNIQUE (checkpoint_id, protocol_id), 
	CONSTRAINT fk_evaluations_checkpoint_id FOREIGN KEY(checkpoint_id) REFERENCES checkpoints (id), 
	CONSTRAINT fk_evaluations_protocol_id FOREIGN KEY(protocol_id) REFERENCES protocols (id), 
	CONSTRAINT fk_evaluations_reference_id FOREIGN KEY(reference_id) REFERENCES reference_sets (id), 
	CONSTRAINT ck_evaluations_state CHECK (state IN ('queued', 'running', 'finalising', 'finished', 'failed', 'cancelled'))
);
INSERT INTO "evaluations" VALUES(1,1,1,1,0,'finished',NULL,'worker-1',1,NULL,1,NULL,NULL,'2026-11-22 15:45:20.827000','2026-11-22 15:45:20.876000','2026-11-22 15:45:20.922000',NULL,NULL,0,12.5,NULL);
INSERT INTO "evaluations" VALUES(2,2,1,1,0,'failed','Shard 0 (images 0 to 31) failed after 1 attempt. The decoder gives no images.',NULL,0,NULL,0,NULL,NULL,'2026-11-22 15:45:20.939000','2026-11-22 15:45:20.953000','2026-11-22 15:45:20.957000',NULL,NULL,0,NULL,NULL);
INSERT INTO "evaluations" VALUES(3,3,1,1,0,'running',NULL,NULL,0,NULL,0,NULL,NULL,'2026-11-22 15:45:20.977000','2026-11-22 15:45:20.999000',NULL,NULL,NULL,0,NULL,NULL);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	evaluation_id INTEGER, 
	reference_id INTEGER, 
	shard_id INTEGER, 
	worker TEXT, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (id), 
	CONSTRAINT fk_events_evaluation_id FOREIGN KEY(evaluation_id) REFERENCES evaluations (id), 
	CONSTRAINT fk_events_reference_id FOREIGN KEY(reference_id) REFERENCES reference_sets (id), 
	CONSTRAINT fk_events_shard_id FOREIGN KEY(shard_id) REFERENCES shards (id)
);
INSERT INTO "events" VALUES(1,'2026-11-22 15:45:20.813000','reference.submitted',NULL,1,NULL,NULL,'{}');
INSERT INTO "events" VALUES(2,'2026-11-22 15:45:20.828000','evaluation.submitted',1,NULL,NULL,NULL,'{}');
INSERT INTO "events" VALUES(3,'2026-11-22 15:45:20.861000','shard.claimed',NULL,1,1,'worker-1','{"attempt": 1, "number": 0}');
INSERT INTO "events" VALUES(4,'2026-11-22 15:45:20.863000','shard.computed',NULL,1,1,'worker-1','{"seconds": 2.0, "file": "references/1/shards/0-1.safetensors"}');
INSERT INTO "events" VALUES(5,'2026-11-22 15:45:20.864000','shard.claimed',NULL,1,2,'worker-1','{"attempt": 1, "number": 1}');
INSERT INTO "events" VALUES(6,'2026-11-22 15:45:20.873000','shard.computed',NULL,1,2,'worker-1','{"seconds": 2.0, "file": "references/1/shards/1-1.safetensors"}');
INSERT INTO "events" VALUES(7,'2026-11-22 15:45:20.876000','shard.claimed',1,NULL,3,'worker-1','{"attempt": 1, "number": 0}');
INSERT INTO "events" VALUES(8,'2026-11-22 15:45:20.882000','shard.computed',1,NULL,3,'worker-1','{"seconds": 2.0, "file": "evaluations/1/shards/0-1.safetensors"}');
INSERT INTO "events" VALUES(9,'2026-11-22 15:45:20.882000','shard.claimed',1,NULL,4,'worker-1','{"attempt": 1, "number": 1}');
INSERT INTO "events" VALUES(10,'2026-11-22 15:45:20.883000','shard.computed',1,NULL,4,'worker-1','{"seconds": 2.0, "file": "evaluations/1/shards/1-1.safetensors"}');
INSERT INTO "events" VALUES(11,'2026-11-22 15:45:20.898000','reference.finalise_claimed',NULL,1,NULL,'worker-1','{"attempt": 1}');
INSERT INTO "events" VALUES(12,'2026-11-22 15:45:20.906000','reference.scored',NULL,1,NULL,'worker-1','{}');
INSERT INTO "events" VALUES(13,'2026-11-22 15:45:20.914000','evaluation.finalise_claimed',1,NULL,NULL,'worker-1','{"attempt": 1}');
INSERT INTO "events" VALUES(14,'2026-11-22 15:45:20.922000','evaluation.scored',1,NULL,NULL,'worker-1','{}');
INSERT INTO "events" VALUES(15,'2026-11-22 15:45:20.940000','evaluation.submitted',2,NULL,NULL,NULL,'{}');
INSERT INTO "events" VALUES(16,'2026-11-22 15:45:20.953000','shard.claimed',2,NULL,5,'slot0-7@node','{"attempt": 1, "number": 0}');
INSERT INTO "events" VALUES(17,'2026-11-22 15:45:20.956000','shard.gave_up',2,NULL,5,'slot0-7@node','{"attempt": 1, "reason": "The decoder gives no images."}');
INSERT INTO "events" VALUES(18,'2026-11-22 15:45:20.962000','evaluation.shard_failed',2,NULL,NULL,NULL,'{"reason": "Shard 0 (images 0 to 31) failed after 1 attempt. The decoder gives no images."}');
INSERT INTO "events" VALUES(19,'2026-11-22 15:45:20.990000','evaluation.submitted',3,NULL,NULL,NULL,'{}');
INSERT INTO "events" VALUES(20,'2026-11-22 15:45:20.999000','shard.claimed',3,NULL,7,'slot0-7@node','{"attempt": 1, "number": 0}');
CREATE TABLE imported_references (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	extractor JSON NOT NULL, 
	num_images INTEGER, 
	has_spatial BOOLEAN NOT NULL, 
	source TEXT NOT NULL, 
	file_key TEXT NOT NULL, 
	file_digest VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_imported_references PRIMARY KEY (id), 
	CONSTRAINT uq_imported_references_name UNIQUE (name)
);
CREATE TABLE leases (
	name VARCHAR(64) NOT NULL, 
	owner TEXT NOT NULL, 
	expires_at DATETIME NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (name)
);
INSERT INTO "leases" VALUES('maintenance','node:7','2026-11-22 15:46:21.005000');
CREATE TABLE protocols (
	id INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	spec JSON NOT NULL, 
	dataset_id INTEGER NOT NULL, 
	extractor TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	num_samples INTEGER NOT NULL, 
	num_reconstructions INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_protocols PRIMARY KEY (id), 
	CONSTRAINT uq_protocols_fingerprint UNIQUE (fingerprint), 
	CONSTRAINT fk_protocols_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id)
);
INSERT INTO "protocols" VALUES(1,'a4f06a1b0fa4d4ded057200c981fe31ae217ce0e75fe39ae497c366929d51b5c','quick','{"dataset_digest": "cc6b6bad31a0ff4d6dfd4953a6346a1c463d884723898a2af964b998e5499e22", "image_shape": [8, 8, 1], "image_fit": "exact", "num_samples": 64, "num_reconstructions": 64, "num_reference": 64, "seed": 0, "extractor": {"name": "inception-v3-random", "version": 1, "weights_digest": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c", "resize": "tf1-bilinear", "precision": "float32", "dimension": 2048}, "metrics": {"fid": 1, "mse": 1}, "image_order": "philox-permutation-1", "quantisation": "clamp-round", "network_batch": 32}',1,'inception-v3-random',0,64,64,'2026-11-22 15:45:20.793000');
CREATE TABLE reference_sets (
	id INTEGER NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	protocol_id INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	error TEXT, 
	lease_owner TEXT, 
	lease_token INTEGER NOT NULL, 
	lease_expires_at DATETIME, 
	attempts INTEGER NOT NULL, 
	file_key TEXT, 
	file_digest VARCHAR(64), 
	submitted_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	CONSTRAINT pk_reference_sets PRIMARY KEY (id), 
	CONSTRAINT uq_reference_sets_key UNIQUE ("key"), 
	CONSTRAINT fk_reference_sets_protocol_id FOREIGN KEY(protocol_id) REFERENCES protocols (id), 
	CONSTRAINT ck_reference_sets_state CHECK (state IN ('queued', 'running', 'finalising', 'finished', 'failed'))
);
INSERT INTO "reference_sets" VALUES(1,'0b8c3541cec0003b3438d1e479198198f57165d58591342c8d290414568963bf',1,'finished',NULL,'worker-1',1,NULL,1,'references/1/merged','617dc1143a14eb3605274d305356742c9f5a5fda519bd15f732bf8f7ee8df1a6','2026-11-22 15:45:20.796000','2026-11-22 15:45:20.857000','2026-11-22 15:45:20.905000');
CREATE TABLE scores (
	evaluation_id INTEGER NOT NULL, 
	metric VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	value DOUBLE, 
	std_error DOUBLE, 
	num_images INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	reason TEXT, 
	components JSON NOT NULL, 
	warnings JSON NOT NULL, bias DOUBLE CONSTRAINT ck_scores_bias_is_finite CHECK (bias BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308), 
	CONSTRAINT pk_scores PRIMARY KEY (evaluation_id, metric), 
	CONSTRAINT fk_scores_evaluation_id FOREIGN KEY(evaluation_id) REFERENCES evaluations (id), 
	CONSTRAINT ck_scores_kind CHECK (kind IN ('finite', 'nan', 'inf', 'not_applicable')), 
	CONSTRAINT ck_scores_value_if_finite CHECK ((kind = 'finite') = (value IS NOT NULL)), 
	CONSTRAINT ck_scores_value_is_finite CHECK (value BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308), 
	CONSTRAINT ck_scores_std_error_is_finite CHECK (std_error BETWEEN 0 AND 1.7976931348623157e308)
);
INSERT INTO "scores" VALUES(1,'fid',1,12.5,NULL,64,'finite',NULL,'[]','[]',NULL);
CREATE TABLE shards (
	id INTEGER NOT NULL, 
	evaluation_id INTEGER, 
	reference_id INTEGER, 
	number INTEGER NOT NULL, 
	start INTEGER NOT NULL, 
	stop INTEGER NOT NULL, 
	forward_passes INTEGER NOT NULL, 
	priority INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	lease_owner TEXT, 
	lease_token INTEGER NOT NULL, 
	lease_expires_at DATETIME, 
	attempts INTEGER NOT NULL, 
	not_before DATETIME, 
	images_done INTEGER NOT NULL, 
	seconds DOUBLE, 
	file_key TEXT, 
	file_digest VARCHAR(64), 
	error TEXT, 
	finished_at DATETIME, turn BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_shards PRIMARY KEY (id), 
	CONSTRAINT uq_shards_evaluation_id_number UNIQUE (evaluation_id, number), 
	CONSTRAINT uq_shards_reference_id_number UNIQUE (reference_id, number), 
	CONSTRAINT fk_shards_evaluation_id FOREIGN KEY(evaluation_id) REFERENCES evaluations (id), 
	CONSTRAINT fk_shards_reference_id FOREIGN KEY(reference_id) REFERENCES reference_sets (id), 
	CONSTRAINT ck_shards_state CHECK (state IN ('queued', 'running', 'finished', 'failed', 'cancelled')), 
	CONSTRAINT ck_shards_one_owner CHECK ((evaluation_id IS NULL) <> (reference_id IS NULL)), 
	CONSTRAINT ck_shards_range CHECK (start >= 0 AND start < stop)
);
INSERT INTO "shards" VALUES(1,NULL,1,0,0,32,32,0,'finished','worker-1',1,NULL,1,NULL,32,2.0,'references/1/shards/0-1.safetensors','09f0d088f92c8320f2ff3d66883297390d1f5324a297aecf423b8e565fb72302',NULL,'2026-11-22 15:45:20.863000',0);
INSERT INTO "shards" VALUES(2,NULL,1,1,32,64,32,0,'finished','worker-1',1,NULL,1,NULL,32,2.0,'references/1/shards/1-1.safetensors','93c5fa50007b0b0a210c0c18708121a4fafc9f5ce84dd27822f74c8826b4ded1',NULL,'2026-11-22 15:45:20.873000',0);
INSERT INTO "shards" VALUES(3,1,NULL,0,0,32,64,0,'finished','worker-1',1,NULL,1,NULL,64,2.0,'evaluations/1/shards/0-1.safetensors','77d6db794592516975917b183522a7d36707c1e37919dc0a1013400d6f5b8f3b',NULL,'2026-11-22 15:45:20.881000',0);
INSERT INTO "shards" VALUES(4,1,NULL,1,32,64,64,0,'finished','worker-1',1,NULL,1,NULL,64,2.0,'evaluations/1/shards/1-1.safetensors','7ff8760c8cbaad10ec9064e474bb9f5c4ef505d7146d4b8f5c94afd6abf9bbf5',NULL,'2026-11-22 15:45:20.883000',0);
INSERT INTO "shards" VALUES(5,2,NULL,0,0,32,64,0,'failed','slot0-7@node',1,NULL,1,NULL,0,NULL,NULL,NULL,'The decoder gives no images.',NULL,0);
INSERT INTO "shards" VALUES(6,2,NULL,1,32,64,64,0,'cancelled',NULL,0,NULL,0,NULL,0,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "shards" VALUES(7,3,NULL,0,0,32,64,0,'running','slot0-7@node',1,'2026-11-22 15:55:20.997000',1,NULL,0,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "shards" VALUES(8,3,NULL,1,32,64,64,0,'queued',NULL,0,NULL,0,NULL,0,NULL,NULL,NULL,NULL,NULL,0);
CREATE TABLE workers (
	worker TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	device TEXT NOT NULL, 
	threads INTEGER NOT NULL, 
	versions JSON NOT NULL, 
	started_at DATETIME NOT NULL, 
	heartbeat_at DATETIME NOT NULL, 
	retired_at DATETIME, 
	images_done BIGINT NOT NULL, 
	busy_seconds DOUBLE NOT NULL, memory_bytes BIGINT, 
	CONSTRAINT pk_workers PRIMARY KEY (worker)
);
INSERT INTO "workers" VALUES('slot0-7@node','node',7,'gpu 0 (H200)',4,'{"python": "3.11.0", "keras": "3.15.1"}','2026-11-22 15:45:20.777000','2026-11-22 15:45:20.777000',NULL,0,0.0,NULL);
CREATE INDEX ix_reference_sets_state ON reference_sets (state);
CREATE INDEX ix_evaluations_state ON evaluations (state, reference_id);
CREATE INDEX ix_shards_claim_reference ON shards (state, reference_id);
CREATE INDEX ix_shards_finished_at ON shards (finished_at);
CREATE INDEX ix_events_evaluation_id ON events (evaluation_id);
CREATE INDEX ix_events_reference_id ON events (reference_id);
CREATE INDEX ix_shards_claim_evaluation ON shards (state, priority DESC, turn, evaluation_id, number);
CREATE INDEX ix_evaluations_finished_at ON evaluations (state, protocol_id, finished_at);
CREATE INDEX ix_evaluations_leaderboard ON evaluations (state, protocol_id, fid, id, fid_std_error);
CREATE INDEX ix_imported_references_digest ON imported_references (digest);
CREATE VIEW leaderboard AS
SELECT
    e.id AS evaluation,
    ranked.rank AS rank,
    c.name AS checkpoint,
    c.step AS step,
    p.name AS protocol,
    CASE WHEN c.is_noise_floor THEN (SELECT s.value FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'fid') ELSE e.fid END AS fid,
    (SELECT s.std_error FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'fid') AS fid_std_error,
    (SELECT s.bias FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'fid') AS fid_bias,
    (SELECT s.value FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'rfid') AS rfid,
    (SELECT s.std_error FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'rfid') AS rfid_std_error,
    (SELECT s.bias FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'rfid') AS rfid_bias,
    (SELECT s.value FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'mse') AS mse,
    (SELECT s.std_error FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'mse') AS mse_std_error,
    (SELECT s.value FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'cross_entropy') AS cross_entropy,
    (SELECT s.std_error FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'cross_entropy') AS cross_entropy_std_error,
    (SELECT s.value FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'psnr') AS psnr,
    (SELECT s.std_error FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'psnr') AS psnr_std_error,
    (SELECT s.value FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'kl') AS kl,
    (SELECT s.std_error FROM scores s WHERE s.evaluation_id = e.id AND s.metric = 'kl') AS kl_std_error,
    p.num_samples AS num_samples,
    p.num_reconstructions AS num_reconstructions,
    p.seed AS seed,
    p.extractor AS extractor,
    d.name AS dataset,
    c.tags AS tags,
    p.fingerprint AS fingerprint,
    e.finished_at AS finished_at,
    c.is_noise_floor AS noise_floor
FROM evaluations e
JOIN checkpoints c ON c.id = e.checkpoint_id
JOIN protocols p ON p.id = e.protocol_id
JOIN datasets d ON d.id = p.dataset_id
LEFT JOIN (
    SELECT id, RANK() OVER (PARTITION BY protocol_id ORDER BY fid) AS rank
    FROM evaluations
    WHERE state = 'finished' AND fid IS NOT NULL
) ranked ON ranked.id = e.id
WHERE e.state = 'finished';
CREATE VIEW scores_long AS
SELECT
    e.id AS evaluation,
    c.name AS checkpoint,
    c.step AS step,
    p.name AS protocol,
    s.metric AS metric,
    s.version AS version,
    s.value AS value,
    s.std_error AS std_error,
    s.bias AS bias,
    s.num_images AS num_images,
    s.kind AS kind,
    s.reason AS reason,
    s.components AS components,
    s.warnings AS warnings,
    d.name AS dataset,
    c.tags AS tags,
    p.fingerprint AS fingerprint,
    e.finished_at AS finished_at,
    c.is_noise_floor AS noise_floor
FROM scores s
JOIN evaluations e ON e.id = s.evaluation_id
JOIN checkpoints c ON c.id = e.checkpoint_id
JOIN protocols p ON p.id = e.protocol_id
JOIN datasets d ON d.id = p.dataset_id
WHERE e.state = 'finished';
COMMIT;
