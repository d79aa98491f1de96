import { AppError } from "@hardshare/protocol";
import pg from "pg";

/** SQLSTATE codes (PostgreSQL's appendix A) of failures that running the transaction again may cure. */
const REPEATABLE = new Set(["40001", "40P01"]);
/** Codes of the operating system and of connections that mean: the database can't be reached. */
const UNREACHABLE = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
  "ENOTFOUND",
  "ETIMEDOUT",
  "EPIPE",
  "EHOSTUNREACH",
  "EAI_AGAIN",
  "EACCES",
]);
/** What pg says without any code when a connection ends or none gets free. */
const LOST_CONNECTION =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after/;

/** A serialization failure or a deadlock. */
export function isRepeatable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && REPEATABLE.has(error.code ?? "");
}

/** The error as features and people should see it; one that is a mistake of ours stays as it is. */
export function toStoreError(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error;
  const code = (error as { code?: string }).code ?? "";
  if (error instanceof pg.DatabaseError) {
    const message = describe(code, error.message);
    return message === undefined ? error : new AppError("store_unavailable", message, { cause: error, details: { sqlState: code } });
  }
  const causes = error instanceof AggregateError ? error.errors.map((cause: unknown) => (cause as { code?: string }).code ?? "") : [code];
  if (causes.some((cause) => UNREACHABLE.has(cause)) || LOST_CONNECTION.test(error.message)) {
    return new AppError(
      "store_unavailable",
      `The database can't be reached: ${error.message || causes.join(", ")}. Check that it runs, and its address`,
      {
        cause: error,
      },
    );
  }
  return error;
}

function describe(sqlState: string, message: string): string | undefined {
  if (sqlState === "53100") return `The database's disk is full; nothing was changed. Free some space there: ${message}`;
  if (sqlState.startsWith("53")) return `The database has no resources left; try again in a moment: ${message}`;
  if (sqlState.startsWith("57P") || sqlState.startsWith("08"))
    return `The database is stopping or starting; try again in a moment: ${message}`;
  if (sqlState.startsWith("28")) return `The database refuses the user or the password of --database-url: ${message}`;
  if (sqlState === "3D000") return `The database of --database-url does not exist; make it with createdb: ${message}`;
  if (sqlState === "57014" || sqlState === "55P03" || sqlState === "25P03")
    return `The database took too long; try again in a moment: ${message}`;
  if (REPEATABLE.has(sqlState)) return `The database is contended; try again in a moment: ${message}`;
  return undefined;
}
