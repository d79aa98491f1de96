import { runProgram, type Logger } from "@hardshare/runtime";

/** The unprivileged system user that PostgreSQL runs as when we are root (it refuses to run as root). */
export interface ServiceUser {
  name: string;
  uid: number;
  gid: number;
}

/** A user of its own: what relays drop to must not be able to read the data. */
const DATABASE_USER = "hardshare-db";

/**
 * The user to run PostgreSQL as: `hardshare-db`, made when missing, or `nobody` where it can't be made.
 * @returns null when we aren't root: then it runs as we do
 */
export async function findServiceUser(ownUid: number, logger: Logger): Promise<ServiceUser | null> {
  if (ownUid !== 0) return null;
  const existing = await lookUp(DATABASE_USER);
  if (existing !== null) return existing;
  const args = ["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", DATABASE_USER];
  const problem = await runProgram("useradd", args).then(
    (result) => result.stderr,
    (error: Error) => error.message,
  );
  const made = await lookUp(DATABASE_USER); // also when another process made it meanwhile
  if (made !== null) {
    logger.info(`made the system user ${DATABASE_USER}, which PostgreSQL runs as`);
    return made;
  }
  logger.warn(`the system user ${DATABASE_USER} can't be made; PostgreSQL runs as nobody`, { problem });
  return (await lookUp("nobody")) ?? { name: "nobody", uid: 65_534, gid: 65_534 };
}

async function lookUp(name: string): Promise<ServiceUser | null> {
  const [uid, gid] = await Promise.all([runProgram("id", ["-u", name]), runProgram("id", ["-g", name])]);
  if (uid.exitCode !== 0 || gid.exitCode !== 0) return null;
  return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) };
}
