import type { Migration } from "./migrate.ts";

export const healthAndHooks: Migration = {
  number: 3,
  name: "rest of deployments, alerts of hosts, hooks and their deliveries",
  sql: `
alter table deployments
  add column rest_why text,
  add column rest_until timestamptz,
  add column closes_at timestamptz,
  add column host_alert_ids text[] not null default '{}';

create table hooks (
  id uuid primary key,
  deployment_id uuid not null references deployments,
  kind text not null check (kind in ('webhook', 'email')),
  target text not null,
  secret_encrypted bytea,
  created_at timestamptz not null,
  delivered_at timestamptz,
  problem text,
  unique (deployment_id, kind, target)
);

create table deliveries (
  id uuid primary key,
  hook_id uuid not null references hooks on delete cascade,
  body text not null,
  created_at timestamptz not null,
  attempts integer not null default 0,
  next_attempt_at timestamptz not null
);
create index deliveries_next_attempt on deliveries (next_attempt_at);
create index deliveries_hook on deliveries (hook_id);
`,
};
