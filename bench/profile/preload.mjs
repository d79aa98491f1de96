/**
 * Loaded into every program of ours by `--profile` (through NODE_OPTIONS): the first SIGUSR2 starts a profile of the
 * processor, the next one ends it and writes `<pid>.cpuprofile`, whole or not at all.
 */
import { rename, writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { join } from "node:path";

const folder = process.env["HS_BENCH_PROFILES"] ?? ".";
let session;

process.on("SIGUSR2", () => void toggle());

async function toggle() {
  if (session === undefined) {
    session = new Session();
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.start");
    return;
  }
  const ended = session;
  session = undefined;
  const { profile } = await ended.post("Profiler.stop");
  ended.disconnect();
  const file = join(folder, `${process.pid}.cpuprofile`);
  await writeFile(`${file}.part`, JSON.stringify(profile));
  await rename(`${file}.part`, file);
}
