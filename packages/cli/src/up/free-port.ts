import { createServer } from "node:net";
import { AppError } from "@hardshare/protocol";
import type { Random } from "@hardshare/runtime";

/** Ports picked for `up`: below the public ports of instances (22000…) and the system's own range (32768–60999). */
const FIRST_PORT = 10_000;
const LAST_PORT = 21_999;
const MAX_ATTEMPTS = 100;

/** Whether this port of 127.0.0.1 can be listened on now. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: "127.0.0.1", port, exclusive: true }, resolve);
    });
    return true;
  } catch {
    return false;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A free port that is none of `taken`. @throws AppError `no_port` when none was found */
export async function pickFreePort(random: Random, taken: readonly number[]): Promise<number> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const port = FIRST_PORT + Math.floor(random.fraction() * (LAST_PORT - FIRST_PORT + 1));
    if (!taken.includes(port) && (await isPortFree(port))) return port;
  }
  throw new AppError("no_port", `no free port was found between ${FIRST_PORT} and ${LAST_PORT}: end some programs that listen there`);
}
