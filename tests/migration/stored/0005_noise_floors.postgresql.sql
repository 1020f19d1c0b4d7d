--
-- PostgreSQL database dump
--


-- Dumped from database version 18.6
-- Dumped by pg_dump version 18.6

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: checkpoints; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.checkpoints (
    id bigint NOT NULL,
    digest character varying(64) NOT NULL,
    uri text NOT NULL,
    name text NOT NULL,
    step bigint,
    description jsonb NOT NULL,
    tags jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    is_noise_floor boolean DEFAULT false NOT NULL
);


--
-- Name: checkpoints_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.checkpoints_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: checkpoints_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.checkpoints_id_seq OWNED BY public.checkpoints.id;


--
-- Name: datasets; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.datasets (
    id bigint NOT NULL,
    digest character varying(64) NOT NULL,
    uri text NOT NULL,
    name text NOT NULL,
    num_images integer NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: datasets_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.datasets_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: datasets_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.datasets_id_seq OWNED BY public.datasets.id;


--
-- Name: evaluations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.evaluations (
    id bigint NOT NULL,
    checkpoint_id bigint NOT NULL,
    protocol_id bigint NOT NULL,
    reference_id bigint NOT NULL,
    priority integer NOT NULL,
    state character varying(16) NOT NULL,
    error text,
    lease_owner text,
    lease_token integer NOT NULL,
    lease_expires_at timestamp with time zone,
    attempts integer NOT NULL,
    pictures_key text,
    pictures_digest character varying(64),
    submitted_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    influence_key text,
    influence_digest character varying(64),
    turn bigint DEFAULT '0'::bigint NOT NULL,
    fid double precision,
    fid_std_error double precision,
    CONSTRAINT ck_evaluations_state CHECK (((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'finalising'::character varying, 'finished'::character varying, 'failed'::character varying, 'cancelled'::character varying])::text[])))
);


--
-- Name: evaluations_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.evaluations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: evaluations_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.evaluations_id_seq OWNED BY public.evaluations.id;


--
-- Name: events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.events (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    action character varying(64) NOT NULL,
    evaluation_id bigint,
    reference_id bigint,
    shard_id bigint,
    worker text,
    detail jsonb NOT NULL
);


--
-- Name: events_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: events_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.events_id_seq OWNED BY public.events.id;


--
-- Name: imported_references; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.imported_references (
    id bigint NOT NULL,
    name character varying(64) NOT NULL,
    digest character varying(64) NOT NULL,
    extractor jsonb NOT NULL,
    num_images integer,
    has_spatial boolean NOT NULL,
    source text NOT NULL,
    file_key text NOT NULL,
    file_digest character varying(64) NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: imported_references_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.imported_references_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: imported_references_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.imported_references_id_seq OWNED BY public.imported_references.id;


--
-- Name: protocols; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.protocols (
    id bigint NOT NULL,
    fingerprint character varying(64) NOT NULL,
    name text NOT NULL,
    spec jsonb NOT NULL,
    dataset_id bigint NOT NULL,
    extractor text NOT NULL,
    seed bigint NOT NULL,
    num_samples integer NOT NULL,
    num_reconstructions integer NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: scores; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.scores (
    evaluation_id bigint NOT NULL,
    metric character varying(64) NOT NULL,
    version integer NOT NULL,
    value double precision,
    std_error double precision,
    num_images integer NOT NULL,
    kind character varying(16) NOT NULL,
    reason text,
    components jsonb NOT NULL,
    warnings jsonb NOT NULL,
    bias double precision,
    CONSTRAINT ck_scores_bias_is_finite CHECK (((bias >= ('-179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision) AND (bias <= ('179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision))),
    CONSTRAINT ck_scores_kind CHECK (((kind)::text = ANY ((ARRAY['finite'::character varying, 'nan'::character varying, 'inf'::character varying, 'not_applicable'::character varying])::text[]))),
    CONSTRAINT ck_scores_std_error_is_finite CHECK (((std_error >= (0)::double precision) AND (std_error <= ('179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision))),
    CONSTRAINT ck_scores_value_if_finite CHECK ((((kind)::text = 'finite'::text) = (value IS NOT NULL))),
    CONSTRAINT ck_scores_value_is_finite CHECK (((value >= ('-179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision) AND (value <= ('179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision)))
);


--
-- Name: leaderboard; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.leaderboard AS
 SELECT e.id AS evaluation,
    ranked.rank,
    c.name AS checkpoint,
    c.step,
    p.name AS protocol,
        CASE
            WHEN c.is_noise_floor THEN ( SELECT s.value
               FROM public.scores s
              WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'fid'::text)))
            ELSE e.fid
        END AS fid,
    ( SELECT s.std_error
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'fid'::text))) AS fid_std_error,
    ( SELECT s.bias
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'fid'::text))) AS fid_bias,
    ( SELECT s.value
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'rfid'::text))) AS rfid,
    ( SELECT s.std_error
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'rfid'::text))) AS rfid_std_error,
    ( SELECT s.bias
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'rfid'::text))) AS rfid_bias,
    ( SELECT s.value
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'mse'::text))) AS mse,
    ( SELECT s.std_error
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'mse'::text))) AS mse_std_error,
    ( SELECT s.value
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'cross_entropy'::text))) AS cross_entropy,
    ( SELECT s.std_error
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'cross_entropy'::text))) AS cross_entropy_std_error,
    ( SELECT s.value
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'psnr'::text))) AS psnr,
    ( SELECT s.std_error
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'psnr'::text))) AS psnr_std_error,
    ( SELECT s.value
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'kl'::text))) AS kl,
    ( SELECT s.std_error
           FROM public.scores s
          WHERE ((s.evaluation_id = e.id) AND ((s.metric)::text = 'kl'::text))) AS kl_std_error,
    p.num_samples,
    p.num_reconstructions,
    p.seed,
    p.extractor,
    d.name AS dataset,
    c.tags,
    p.fingerprint,
    e.finished_at,
    c.is_noise_floor AS noise_floor
   FROM ((((public.evaluations e
     JOIN public.checkpoints c ON ((c.id = e.checkpoint_id)))
     JOIN public.protocols p ON ((p.id = e.protocol_id)))
     JOIN public.datasets d ON ((d.id = p.dataset_id)))
     LEFT JOIN ( SELECT evaluations.id,
            rank() OVER (PARTITION BY evaluations.protocol_id ORDER BY evaluations.fid) AS rank
           FROM public.evaluations
          WHERE (((evaluations.state)::text = 'finished'::text) AND (evaluations.fid IS NOT NULL))) ranked ON ((ranked.id = e.id)))
  WHERE ((e.state)::text = 'finished'::text);


--
-- Name: leases; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.leases (
    name character varying(64) NOT NULL,
    owner text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);


--
-- Name: protocols_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.protocols_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: protocols_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.protocols_id_seq OWNED BY public.protocols.id;


--
-- Name: reference_sets; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reference_sets (
    id bigint NOT NULL,
    key character varying(64) NOT NULL,
    protocol_id bigint NOT NULL,
    state character varying(16) NOT NULL,
    error text,
    lease_owner text,
    lease_token integer NOT NULL,
    lease_expires_at timestamp with time zone,
    attempts integer NOT NULL,
    file_key text,
    file_digest character varying(64),
    submitted_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT ck_reference_sets_state CHECK (((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'finalising'::character varying, 'finished'::character varying, 'failed'::character varying])::text[])))
);


--
-- Name: reference_sets_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.reference_sets_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: reference_sets_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.reference_sets_id_seq OWNED BY public.reference_sets.id;


--
-- Name: scores_long; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.scores_long AS
 SELECT e.id AS evaluation,
    c.name AS checkpoint,
    c.step,
    p.name AS protocol,
    s.metric,
    s.version,
    s.value,
    s.std_error,
    s.bias,
    s.num_images,
    s.kind,
    s.reason,
    s.components,
    s.warnings,
    d.name AS dataset,
    c.tags,
    p.fingerprint,
    e.finished_at,
    c.is_noise_floor AS noise_floor
   FROM ((((public.scores s
     JOIN public.evaluations e ON ((e.id = s.evaluation_id)))
     JOIN public.checkpoints c ON ((c.id = e.checkpoint_id)))
     JOIN public.protocols p ON ((p.id = e.protocol_id)))
     JOIN public.datasets d ON ((d.id = p.dataset_id)))
  WHERE ((e.state)::text = 'finished'::text);


--
-- Name: shards; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.shards (
    id bigint NOT NULL,
    evaluation_id bigint,
    reference_id bigint,
    number integer NOT NULL,
    start integer NOT NULL,
    stop integer NOT NULL,
    forward_passes integer NOT NULL,
    priority integer NOT NULL,
    state character varying(16) NOT NULL,
    lease_owner text,
    lease_token integer NOT NULL,
    lease_expires_at timestamp with time zone,
    attempts integer NOT NULL,
    not_before timestamp with time zone,
    images_done integer NOT NULL,
    seconds double precision,
    file_key text,
    file_digest character varying(64),
    error text,
    finished_at timestamp with time zone,
    turn bigint DEFAULT '0'::bigint NOT NULL,
    CONSTRAINT ck_shards_one_owner CHECK (((evaluation_id IS NULL) <> (reference_id IS NULL))),
    CONSTRAINT ck_shards_range CHECK (((start >= 0) AND (start < stop))),
    CONSTRAINT ck_shards_state CHECK (((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'finished'::character varying, 'failed'::character varying, 'cancelled'::character varying])::text[])))
);


--
-- Name: shards_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.shards_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: shards_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.shards_id_seq OWNED BY public.shards.id;


--
-- Name: workers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workers (
    worker text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    device text NOT NULL,
    threads integer NOT NULL,
    versions jsonb NOT NULL,
    started_at timestamp with time zone NOT NULL,
    heartbeat_at timestamp with time zone NOT NULL,
    retired_at timestamp with time zone,
    images_done bigint NOT NULL,
    busy_seconds double precision NOT NULL,
    memory_bytes bigint
);


--
-- Name: checkpoints id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.checkpoints ALTER COLUMN id SET DEFAULT nextval('public.checkpoints_id_seq'::regclass);


--
-- Name: datasets id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.datasets ALTER COLUMN id SET DEFAULT nextval('public.datasets_id_seq'::regclass);


--
-- Name: evaluations id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluations ALTER COLUMN id SET DEFAULT nextval('public.evaluations_id_seq'::regclass);


--
-- Name: events id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events ALTER COLUMN id SET DEFAULT nextval('public.events_id_seq'::regclass);


--
-- Name: imported_references id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.imported_references ALTER COLUMN id SET DEFAULT nextval('public.imported_references_id_seq'::regclass);


--
-- Name: protocols id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.protocols ALTER COLUMN id SET DEFAULT nextval('public.protocols_id_seq'::regclass);


--
-- Name: reference_sets id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reference_sets ALTER COLUMN id SET DEFAULT nextval('public.reference_sets_id_seq'::regclass);


--
-- Name: shards id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.shards ALTER COLUMN id SET DEFAULT nextval('public.shards_id_seq'::regclass);


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES ('0005_noise_floors');


--
-- Data for Name: checkpoints; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.checkpoints VALUES (1, '40b18075d7a4e9fbdf1b0d9be639363e58d8e95894ecbe2443314cc6f547234b', '/checkpoints/beta4/step-100', 'beta4/step-100', NULL, '{"format": "linear-gaussian", "posterior": "diagonal", "latent_shape": [2]}', '{}', '2026-11-22 15:45:21.587516+00', false);
INSERT INTO public.checkpoints VALUES (2, '139e41d780aec49de124fee90c6cf9f670eb66572366470e38325d5f4aa8edf5', '/checkpoints/beta4/step-200', 'beta4/step-200', NULL, '{"format": "linear-gaussian", "posterior": "diagonal", "latent_shape": [2]}', '{}', '2026-11-22 15:45:21.962509+00', false);
INSERT INTO public.checkpoints VALUES (3, '8b180f242f36e7a4779a5cbc775b667e166e7c829ff184b20043157e233fddb9', '/checkpoints/beta4/step-300', 'beta4/step-300', NULL, '{"format": "linear-gaussian", "posterior": "diagonal", "latent_shape": [2]}', '{}', '2026-11-22 15:45:22.00659+00', false);


--
-- Data for Name: datasets; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.datasets VALUES (1, 'cc6b6bad31a0ff4d6dfd4953a6346a1c463d884723898a2af964b998e5499e22', 'digits:test', 'digits:test', 500, '2026-11-22 15:45:21.580302+00');


--
-- Data for Name: evaluations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.evaluations VALUES (1, 1, 1, 1, 0, 'finished', NULL, 'worker-1', 1, NULL, 1, NULL, NULL, '2026-11-22 15:45:21.812617+00', '2026-11-22 15:45:21.890277+00', '2026-11-22 15:45:21.945876+00', NULL, NULL, 0, 12.5, NULL);
INSERT INTO public.evaluations VALUES (2, 2, 1, 1, 0, 'failed', 'Shard 0 (images 0 to 31) failed after 1 attempt. The decoder gives no images.', NULL, 0, NULL, 0, NULL, NULL, '2026-11-22 15:45:21.981873+00', '2026-11-22 15:45:21.990293+00', '2026-11-22 15:45:21.998941+00', NULL, NULL, 0, NULL, NULL);
INSERT INTO public.evaluations VALUES (3, 3, 1, 1, 0, 'running', NULL, NULL, 0, NULL, 0, NULL, NULL, '2026-11-22 15:45:22.025898+00', '2026-11-22 15:45:22.038523+00', NULL, NULL, NULL, 0, NULL, NULL);


--
-- Data for Name: events; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.events VALUES (1, '2026-11-22 15:45:21.634512+00', 'reference.submitted', NULL, 1, NULL, NULL, '{}');
INSERT INTO public.events VALUES (2, '2026-11-22 15:45:21.820147+00', 'evaluation.submitted', 1, NULL, NULL, NULL, '{}');
INSERT INTO public.events VALUES (3, '2026-11-22 15:45:21.845508+00', 'shard.claimed', NULL, 1, 1, 'worker-1', '{"number": 0, "attempt": 1}');
INSERT INTO public.events VALUES (4, '2026-11-22 15:45:21.859503+00', 'shard.computed', NULL, 1, 1, 'worker-1', '{"file": "references/1/shards/0-1.safetensors", "seconds": 2.0}');
INSERT INTO public.events VALUES (5, '2026-11-22 15:45:21.869549+00', 'shard.claimed', NULL, 1, 2, 'worker-1', '{"number": 1, "attempt": 1}');
INSERT INTO public.events VALUES (6, '2026-11-22 15:45:21.875643+00', 'shard.computed', NULL, 1, 2, 'worker-1', '{"file": "references/1/shards/1-1.safetensors", "seconds": 2.0}');
INSERT INTO public.events VALUES (7, '2026-11-22 15:45:21.890751+00', 'shard.claimed', 1, NULL, 3, 'worker-1', '{"number": 0, "attempt": 1}');
INSERT INTO public.events VALUES (8, '2026-11-22 15:45:21.892422+00', 'shard.computed', 1, NULL, 3, 'worker-1', '{"file": "evaluations/1/shards/0-1.safetensors", "seconds": 2.0}');
INSERT INTO public.events VALUES (9, '2026-11-22 15:45:21.899404+00', 'shard.claimed', 1, NULL, 4, 'worker-1', '{"number": 1, "attempt": 1}');
INSERT INTO public.events VALUES (10, '2026-11-22 15:45:21.901318+00', 'shard.computed', 1, NULL, 4, 'worker-1', '{"file": "evaluations/1/shards/1-1.safetensors", "seconds": 2.0}');
INSERT INTO public.events VALUES (11, '2026-11-22 15:45:21.914206+00', 'reference.finalise_claimed', NULL, 1, NULL, 'worker-1', '{"attempt": 1}');
INSERT INTO public.events VALUES (12, '2026-11-22 15:45:21.921894+00', 'reference.scored', NULL, 1, NULL, 'worker-1', '{}');
INSERT INTO public.events VALUES (13, '2026-11-22 15:45:21.930341+00', 'evaluation.finalise_claimed', 1, NULL, NULL, 'worker-1', '{"attempt": 1}');
INSERT INTO public.events VALUES (14, '2026-11-22 15:45:21.947032+00', 'evaluation.scored', 1, NULL, NULL, 'worker-1', '{}');
INSERT INTO public.events VALUES (15, '2026-11-22 15:45:21.983688+00', 'evaluation.submitted', 2, NULL, NULL, NULL, '{}');
INSERT INTO public.events VALUES (16, '2026-11-22 15:45:21.990636+00', 'shard.claimed', 2, NULL, 5, 'slot0-7@node', '{"number": 0, "attempt": 1}');
INSERT INTO public.events VALUES (17, '2026-11-22 15:45:21.997811+00', 'shard.gave_up', 2, NULL, 5, 'slot0-7@node', '{"reason": "The decoder gives no images.", "attempt": 1}');
INSERT INTO public.events VALUES (18, '2026-11-22 15:45:22.002567+00', 'evaluation.shard_failed', 2, NULL, NULL, NULL, '{"reason": "Shard 0 (images 0 to 31) failed after 1 attempt. The decoder gives no images."}');
INSERT INTO public.events VALUES (19, '2026-11-22 15:45:22.027676+00', 'evaluation.submitted', 3, NULL, NULL, NULL, '{}');
INSERT INTO public.events VALUES (20, '2026-11-22 15:45:22.0389+00', 'shard.claimed', 3, NULL, 7, 'slot0-7@node', '{"number": 0, "attempt": 1}');


--
-- Data for Name: imported_references; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: leases; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.leases VALUES ('maintenance', 'node:7', '2026-11-22 15:46:22.041238+00');


--
-- Data for Name: protocols; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.protocols VALUES (1, 'a4f06a1b0fa4d4ded057200c981fe31ae217ce0e75fe39ae497c366929d51b5c', 'quick', '{"seed": 0, "metrics": {"fid": 1, "mse": 1}, "extractor": {"name": "inception-v3-random", "resize": "tf1-bilinear", "version": 1, "dimension": 2048, "precision": "float32", "weights_digest": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"}, "image_fit": "exact", "image_order": "philox-permutation-1", "image_shape": [8, 8, 1], "num_samples": 64, "quantisation": "clamp-round", "network_batch": 32, "num_reference": 64, "dataset_digest": "cc6b6bad31a0ff4d6dfd4953a6346a1c463d884723898a2af964b998e5499e22", "num_reconstructions": 64}', 1, 'inception-v3-random', 0, 64, 64, '2026-11-22 15:45:21.595034+00');


--
-- Data for Name: reference_sets; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.reference_sets VALUES (1, '0b8c3541cec0003b3438d1e479198198f57165d58591342c8d290414568963bf', 1, 'finished', NULL, 'worker-1', 1, NULL, 1, 'references/1/merged', '617dc1143a14eb3605274d305356742c9f5a5fda519bd15f732bf8f7ee8df1a6', '2026-11-22 15:45:21.603082+00', '2026-11-22 15:45:21.844585+00', '2026-11-22 15:45:21.921462+00');


--
-- Data for Name: scores; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.scores VALUES (1, 'fid', 1, 12.5, NULL, 64, 'finite', NULL, '[]', '[]', NULL);


--
-- Data for Name: shards; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.shards VALUES (1, NULL, 1, 0, 0, 32, 32, 0, 'finished', 'worker-1', 1, NULL, 1, NULL, 32, 2, 'references/1/shards/0-1.safetensors', '09f0d088f92c8320f2ff3d66883297390d1f5324a297aecf423b8e565fb72302', NULL, '2026-11-22 15:45:21.852978+00', 0);
INSERT INTO public.shards VALUES (2, NULL, 1, 1, 32, 64, 32, 0, 'finished', 'worker-1', 1, NULL, 1, NULL, 32, 2, 'references/1/shards/1-1.safetensors', '93c5fa50007b0b0a210c0c18708121a4fafc9f5ce84dd27822f74c8826b4ded1', NULL, '2026-11-22 15:45:21.873796+00', 0);
INSERT INTO public.shards VALUES (3, 1, NULL, 0, 0, 32, 64, 0, 'finished', 'worker-1', 1, NULL, 1, NULL, 64, 2, 'evaluations/1/shards/0-1.safetensors', '77d6db794592516975917b183522a7d36707c1e37919dc0a1013400d6f5b8f3b', NULL, '2026-11-22 15:45:21.891709+00', 0);
INSERT INTO public.shards VALUES (4, 1, NULL, 1, 32, 64, 64, 0, 'finished', 'worker-1', 1, NULL, 1, NULL, 64, 2, 'evaluations/1/shards/1-1.safetensors', '7ff8760c8cbaad10ec9064e474bb9f5c4ef505d7146d4b8f5c94afd6abf9bbf5', NULL, '2026-11-22 15:45:21.900535+00', 0);
INSERT INTO public.shards VALUES (5, 2, NULL, 0, 0, 32, 64, 0, 'failed', 'slot0-7@node', 1, NULL, 1, NULL, 0, NULL, NULL, NULL, 'The decoder gives no images.', NULL, 0);
INSERT INTO public.shards VALUES (6, 2, NULL, 1, 32, 64, 64, 0, 'cancelled', NULL, 0, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, 0);
INSERT INTO public.shards VALUES (8, 3, NULL, 1, 32, 64, 64, 0, 'queued', NULL, 0, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, 0);
INSERT INTO public.shards VALUES (7, 3, NULL, 0, 0, 32, 64, 0, 'running', 'slot0-7@node', 1, '2026-11-22 15:55:22.032256+00', 1, NULL, 0, NULL, NULL, NULL, NULL, NULL, 0);


--
-- Data for Name: workers; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workers VALUES ('slot0-7@node', 'node', 7, 'gpu 0 (H200)', 4, '{"keras": "3.15.1", "python": "3.11.0"}', '2026-11-22 15:45:21.578133+00', '2026-11-22 15:45:21.578133+00', NULL, 0, 0, NULL);


--
-- Name: checkpoints_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.checkpoints_id_seq', 3, true);


--
-- Name: datasets_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.datasets_id_seq', 3, true);


--
-- Name: evaluations_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.evaluations_id_seq', 3, true);


--
-- Name: events_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.events_id_seq', 20, true);


--
-- Name: imported_references_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.imported_references_id_seq', 1, false);


--
-- Name: protocols_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.protocols_id_seq', 3, true);


--
-- Name: reference_sets_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.reference_sets_id_seq', 3, true);


--
-- Name: shards_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.shards_id_seq', 8, true);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: checkpoints pk_checkpoints; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT pk_checkpoints PRIMARY KEY (id);


--
-- Name: datasets pk_datasets; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.datasets
    ADD CONSTRAINT pk_datasets PRIMARY KEY (id);


--
-- Name: evaluations pk_evaluations; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT pk_evaluations PRIMARY KEY (id);


--
-- Name: events pk_events; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT pk_events PRIMARY KEY (id);


--
-- Name: imported_references pk_imported_references; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.imported_references
    ADD CONSTRAINT pk_imported_references PRIMARY KEY (id);


--
-- Name: leases pk_leases; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT pk_leases PRIMARY KEY (name);


--
-- Name: protocols pk_protocols; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.protocols
    ADD CONSTRAINT pk_protocols PRIMARY KEY (id);


--
-- Name: reference_sets pk_reference_sets; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reference_sets
    ADD CONSTRAINT pk_reference_sets PRIMARY KEY (id);


--
-- Name: scores pk_scores; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.scores
    ADD CONSTRAINT pk_scores PRIMARY KEY (evaluation_id, metric);


--
-- Name: shards pk_shards; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.shards
    ADD CONSTRAINT pk_shards PRIMARY KEY (id);


--
-- Name: workers pk_workers; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT pk_workers PRIMARY KEY (worker);


--
-- Name: checkpoints uq_checkpoints_digest; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT uq_checkpoints_digest UNIQUE (digest);


--
-- Name: datasets uq_datasets_digest; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.datasets
    ADD CONSTRAINT uq_datasets_digest UNIQUE (digest);


--
-- Name: evaluations uq_evaluations_checkpoint_id_protocol_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT uq_evaluations_checkpoint_id_protocol_id UNIQUE (checkpoint_id, protocol_id);


--
-- Name: imported_references uq_imported_references_name; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.imported_references
    ADD CONSTRAINT uq_imported_references_name UNIQUE (name);


--
-- Name: protocols uq_protocols_fingerprint; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.protocols
    ADD CONSTRAINT uq_protocols_fingerprint UNIQUE (fingerprint);


--
-- Name: reference_sets uq_reference_sets_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reference_sets
    ADD CONSTRAINT uq_reference_sets_key UNIQUE (key);


--
-- Name: shards uq_shards_evaluation_id_number; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.shards
    ADD CONSTRAINT uq_shards_evaluation_id_number UNIQUE (evaluation_id, number);


--
-- Name: shards uq_shards_reference_id_number; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.shards
    ADD CONSTRAINT uq_shards_reference_id_number UNIQUE (reference_id, number);


--
-- Name: ix_evaluations_finished_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_evaluations_finished_at ON public.evaluations USING btree (state, protocol_id, finished_at);


--
-- Name: ix_evaluations_leaderboard; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_evaluations_leaderboard ON public.evaluations USING btree (state, protocol_id, fid, id, fid_std_error);


--
-- Name: ix_evaluations_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_evaluations_state ON public.evaluations USING btree (state, reference_id);


--
-- Name: ix_events_evaluation_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_events_evaluation_id ON public.events USING btree (evaluation_id);


--
-- Name: ix_events_reference_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_events_reference_id ON public.events USING btree (reference_id);


--
-- Name: ix_imported_references_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_imported_references_digest ON public.imported_references USING btree (digest);


--
-- Name: ix_reference_sets_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_reference_sets_state ON public.reference_sets USING btree (state);


--
-- Name: ix_shards_claim_evaluation; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_shards_claim_evaluation ON public.shards USING btree (state, priority DESC, turn, evaluation_id, number);


--
-- Name: ix_shards_claim_reference; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_shards_claim_reference ON public.shards USING btree (state, reference_id);


--
-- Name: ix_shards_finished_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_shards_finished_at ON public.shards USING btree (finished_at);


--
-- Name: evaluations fk_evaluations_checkpoint_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT fk_evaluations_checkpoint_id FOREIGN KEY (checkpoint_id) REFERENCES public.checkpoints(id);


--
-- Name: evaluations fk_evaluations_protocol_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT fk_evaluations_protocol_id FOREIGN KEY (protocol_id) REFERENCES public.protocols(id);


--
-- Name: evaluations fk_evaluations_reference_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT fk_evaluations_reference_id FOREIGN KEY (reference_id) REFERENCES public.reference_sets(id);


--
-- Name: events fk_events_evaluation_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT fk_events_evaluation_id FOREIGN KEY (evaluation_id) REFERENCES public.evaluations(id);


--
-- Name: events fk_events_reference_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT fk_events_reference_id FOREIGN KEY (reference_id) REFERENCES public.reference_sets(id);


--
-- Name: events fk_events_shard_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT fk_events_shard_id FOREIGN KEY (shard_id) REFERENCES public.shards(id);


--
-- Name: protocols fk_protocols_dataset_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.protocols
    ADD CONSTRAINT fk_protocols_dataset_id FOREIGN KEY (dataset_id) REFERENCES public.datasets(id);


--
-- Name: reference_sets fk_reference_sets_protocol_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reference_sets
    ADD CONSTRAINT fk_reference_sets_protocol_id FOREIGN KEY (protocol_id) REFERENCES public.protocols(id);


--
-- Name: scores fk_scores_evaluation_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.scores
    ADD CONSTRAINT fk_scores_evaluation_id FOREIGN KEY (evaluation_id) REFERENCES public.evaluations(id);


--
-- Name: shards fk_shards_evaluation_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.shards
    ADD CONSTRAINT fk_shards_evaluation_id FOREIGN KEY (evaluation_id) REFERENCES public.evaluations(id);


--
-- Name: shards fk_shards_reference_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.shards
    ADD CONSTRAINT fk_shards_reference_id FOREIGN KEY (reference_id) REFERENCES public.reference_sets(id);


--
-- PostgreSQL database dump complete
--


