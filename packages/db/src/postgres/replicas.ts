import { AppError } from "@hardshare/protocol";
import { sql } from "kysely";
import pg from "pg";
import type { Transaction } from "../stores/database.ts";
import { sqlOf } from "./transaction.ts";

/** First key of the advisory locks of replicas; any number that nothing else uses. */
const REPLICA_LOCKS = 7_283_115;
/** A process that was killed just now lets go within milliseconds; longer means that it lives. */
const PATIENCE_MS = 2000;
/** SQLSTATE lock_not_available. */
const LOCK_NOT_AVAILABLE = "55P03";

/** A session of PostgreSQL, such that no later one is taken for it. */
export interface ReplicaSession {
  pid: number;
  startedAt: string;
}

/**
 * Makes a session the sign that a replica lives: it holds an advisory lock until it ends, however it ends.
 * @param former the session that was the sign before: PostgreSQL may not know yet that it is lost, so it is ended
 * @throws AppError `conflict` when another process is this replica
 */
export async function holdReplica(client: pg.Client, replicaId: string, former?: ReplicaSession): Promise<ReplicaSession> {
  if (former !== undefined) {
    const query = "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start = $2::timestamptz";
    await client.query(query, [former.pid, former.startedAt]);
  }
  await client.query(`set lock_timeout = ${PATIENCE_MS}`);
  try {
    await client.query("select pg_advisory_lock($1, hashtext($2))", [REPLICA_LOCKS, replicaId]);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== LOCK_NOT_AVAILABLE) throw error;
    throw new AppError(
      "conflict",
      "Another server with the same replica-id uses this database: either this one's data folder is a copy of the other's, whose file replica-id must then be removed, or the other one must be ended first",
      { cause: error, details: { replicaId } },
    );
  }
  const found = await client.query<ReplicaSession>(
    'select pid, backend_start::text as "startedAt" from pg_stat_activity where pid = pg_backend_pid()',
  );
  const [session] = found.rows;
  if (session === undefined) throw new AppError("internal", "PostgreSQL does not list our own session");
  return session;
}

/** Whether a process is this replica now, connected to the database. One that is just connecting again counts as gone. */
export async function isReplicaAlive(tx: Transaction, replicaId: string): Promise<boolean> {
  // Shared, so that two who ask at the same time do not take each other for the replica.
  const asked = sql<{ isGone: boolean }>`select pg_try_advisory_xact_lock_shared(${REPLICA_LOCKS}, hashtext(${replicaId})) as is_gone`;
  const { rows } = await asked.execute(sqlOf(tx));
  return rows[0]?.isGone !== true;
}
