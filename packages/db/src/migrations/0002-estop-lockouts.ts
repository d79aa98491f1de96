import type { Migration } from "./migrate.ts";

export const estopLockouts: Migration = {
  number: 2,
  name: "lock-outs by E-stop",
  sql: `
alter table lockouts drop constraint lockouts_kind_check;
alter table lockouts add constraint lockouts_kind_check check (kind in ('person', 'estop', 'host', 'host_not_confirmed'));
`,
};
