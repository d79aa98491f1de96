import { AppError } from "@hardshare/protocol";
import pg from "pg";
import type { Connection } from "../connection.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/** No statement of ours takes that long; one that does is stuck. */
const STATEMENT_TIMEOUT_MS = 30_000;

/** How every connection of ours is made. @throws AppError `bad_input` for a malformed URL */
export function clientConfig(connection: Connection): pg.ClientConfig {
  const common: pg.ClientConfig = {
    application_name: "hardshare",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
    types: { getTypeParser: typeParser as typeof pg.types.getTypeParser },
  };
  if (typeof connection !== "string") return { ...common, ...connection };
  // With a socket's folder as parameter `host`, the place of the host is empty, as libpq has it.
  if (!/^postgres(ql)?:\/\//.test(connection) || !URL.canParse(connection.replace("@/", "@socket/"))) {
    throw new AppError("bad_input", "--database-url: expected a URL such as postgres://user:password@host:5432/database", {
      details: { field: "database-url" },
    });
  }
  return { ...common, connectionString: connection };
}

/** OID of `bigint` in PostgreSQL's catalogue pg_type. */
const BIGINT_OID = 20;

/** Counters are `bigint` in the tables and stay far below 2^53: numbers, not pg's texts. */
function typeParser(oid: number, format?: "text" | "binary"): unknown {
  return oid === BIGINT_OID ? Number : pg.types.getTypeParser(oid, format);
}
