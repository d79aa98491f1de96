import type { Migration } from "./migrate.ts";

/** Times are UTC, durations in seconds (`_s`). States are spelled out in the partial indexes that carry the promises. */
export const firstSchema: Migration = {
  number: 1,
  name: "first schema",
  sql: `
create table users (
  name text primary key,
  created_at timestamptz not null
);

create table tokens (
  sha256 text primary key check (sha256 ~ '^[0-9a-f]{64}$'),
  user_name text not null,
  org text,
  issued_at timestamptz,
  expires_at timestamptz,
  first_seen_at timestamptz,
  origin text,
  revoked_at timestamptz
);

create table hosts (
  id uuid primary key,
  owner text not null,
  name text not null,
  public_key text not null unique,
  registered_at timestamptz not null,
  last_connected_at timestamptz,
  last_seen_at timestamptz,
  software_version text,
  boot_id text
);

create table hubs (
  id uuid primary key,
  name text not null,
  public_key text not null unique,
  ssh_host_key text not null,
  public_host text,
  ssh_port integer,
  first_port integer,
  last_port integer,
  registered_at timestamptz not null,
  last_connected_at timestamptz,
  last_seen_at timestamptz,
  software_version text,
  check (num_nulls(public_host, ssh_port, first_port, last_port) in (0, 4))
);

-- presence: who is connected to which replica
create table channels (
  role text not null check (role in ('host', 'hub')),
  peer_id uuid not null,
  replica_id text not null,
  connection_id text not null,
  session text not null,
  connected_at timestamptz not null,
  primary key (role, peer_id)
);
create index channels_by_replica on channels (replica_id);

create table deployments (
  id uuid primary key,
  owner text not null,
  type text not null,
  type_version integer not null,
  description text,
  region text not null,
  host_id uuid references hosts (id),
  provider text,
  probe text not null default 'banner',
  has_public_port boolean not null default true,
  max_duration_s double precision not null,
  end_timeout_s double precision not null default 0,
  is_advertised boolean not null default false,
  epoch_counter bigint not null default 0,
  instance_count bigint not null default 0,
  supported_addons text[] not null,
  created_at timestamptz not null,
  dissolved_at timestamptz,
  origin text
);
create index deployments_by_owner on deployments (owner);
create index deployments_by_host on deployments (host_id);
create index deployments_by_type on deployments (type, created_at, id);

-- every lock-out ever set; those that are not lifted are in force
create table lockouts (
  deployment_id uuid not null references deployments (id),
  id text not null,
  instance_id uuid,
  kind text not null check (kind in ('person', 'host', 'host_not_confirmed')),
  reason text not null,
  actor text not null,
  at timestamptz not null,
  lifted_at timestamptz,
  lifted_by text,
  primary key (deployment_id, id)
);
create index lockouts_in_force on lockouts (deployment_id, at) where lifted_at is null;

create table access_rules (
  deployment_id uuid not null references deployments (id),
  id integer not null check (id between 1 and 65535),
  user_name text not null,
  capability text not null check (capability in ('CAP_INSTANTIATE', 'CAP_NO_INSTANTIATE')),
  created_at timestamptz not null,
  primary key (deployment_id, id),
  unique (deployment_id, user_name, capability)
);

create table instances (
  id uuid primary key,
  deployment_id uuid not null references deployments (id),
  epoch bigint not null check (epoch >= 1),
  user_name text not null,
  state text not null check (state in ('INIT', 'READY', 'TERMINATING', 'TERMINATED', 'INIT_FAIL')),
  hub_id uuid not null references hubs (id),
  public_port integer,
  public_keys text[] not null,
  private_key_encrypted bytea,
  host_keys text[] not null default '{}',
  requested_s double precision,
  started_at timestamptz not null,
  deadline timestamptz not null,
  accepted_at timestamptz,
  up_at timestamptz,
  endpoint_open_at timestamptz,
  probed_at timestamptz,
  ready_at timestamptz,
  ending_at timestamptz,
  ended_at timestamptz,
  end_reason text,
  failed_step text,
  failed_log text,
  last_sequence bigint not null default 0,
  is_firewall_configured boolean not null default false,
  unique (deployment_id, epoch)
);
-- the exclusivity: at most one live instance of a deployment
create unique index live_instances on instances (deployment_id) where state in ('INIT', 'READY', 'TERMINATING');
-- a public port belongs to one live instance
create unique index live_public_ports on instances (hub_id, public_port) where state in ('INIT', 'READY', 'TERMINATING');
create index instances_by_user on instances (user_name, started_at);
create index instances_by_deployment on instances (deployment_id, started_at);
create index deadlines on instances (deadline) where state in ('INIT', 'READY');

-- when a public port was used last: it rests before it is given to another instance
create table released_ports (
  hub_id uuid not null references hubs (id),
  port integer not null,
  released_at timestamptz not null,
  primary key (hub_id, port)
);

create table firewall_rules (
  instance_id uuid not null references instances (id),
  position integer not null,
  source text not null,
  action text not null check (action in ('ACCEPT', 'DROP', 'REJECT')),
  primary key (instance_id, position)
);

-- timeline of instances and audit log of deployments
create table events (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  deployment_id uuid,
  instance_id uuid,
  kind text not null,
  actor text not null,
  data jsonb not null
);
create index events_by_instance on events (instance_id, id);
create index events_by_deployment on events (deployment_id, kind, id);
`,
};
