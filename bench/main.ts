/**
 * `npm run bench [-- P1 P6 …] [options]` (`--help` names them): races beside their peers, in the same run on the same machine.
 * Figures of one machine pass or fail nothing: a row that falls short is marked, and the exit code stays 0.
 */
import { writeFile } from "node:fs/promises";
import { arch, cpus, release } from "node:os";
import { usesNativeCrypto } from "@hardshare/client/node";
import { World } from "../e2e/harness/world.ts";
import { Profiler } from "./profile/profiler.ts";
import { httpFilter } from "./http-filter.ts";
import { launches } from "./launches.ts";
import { describeOptions, readOptions } from "./options.ts";
import { formatRows, type Race, type RaceContext, type Row } from "./race.ts";
import { atRest } from "./at-rest.ts";
import { cablePulled } from "./cable-pulled.ts";
import { contention } from "./contention.ts";
import { serialLine } from "./serial-line.ts";
import { stop } from "./stop/stop.ts";
import { streams } from "./streams/streams.ts";

const RACES: readonly Race[] = [atRest, launches, contention, streams, stop, cablePulled, httpFilter, serialLine];

const known = RACES.flatMap((race) => race.ids);
const { options, wanted } = readOptions(process.argv.slice(2));
if (options.help) {
  process.stdout.write(describeOptions(known));
  process.exit(0);
}
const tell = (line: string) => void process.stderr.write(`bench: ${line}\n`);

const unknown = wanted.filter((id) => !known.includes(id));
if (unknown.length > 0) {
  tell(`there is no race ${unknown.join(", ")}; there are ${known.join(", ")}`);
  process.exit(2);
}
const chosen = RACES.filter((race) => wanted.length === 0 || race.ids.some((id) => wanted.includes(id)));
const machine = {
  node: process.version,
  kernel: release(),
  arch: arch(),
  cpu: `${cpus().length} x ${cpus()[0]?.model ?? "?"}`,
  sshCrypto: (await usesNativeCrypto()) ? "native" : "JavaScript",
};
tell(`starting the whole system (${machine.cpu}, Node ${machine.node}, ssh2 crypto: ${machine.sshCrypto})`);
const rows: Row[] = [];
{
  const profiler = options.profile === undefined ? undefined : await Profiler.open(options.profile);
  await using world = await World.create(profiler?.variables);
  const isWanted = (id: string) => wanted.length === 0 || wanted.includes(id);
  const context: RaceContext = { world, isShort: options.short ?? false, isLong: options.long ?? false, isWanted, profiler, tell };
  for (const race of chosen) {
    tell(`${race.ids.join(", ")} …`);
    rows.push(...(await race.run(context)));
  }
}
process.stdout.write(
  `${formatRows(rows)}\n\nssh2 crypto: ${machine.sshCrypto}; ${machine.cpu}; Node ${machine.node}; Linux ${machine.kernel}\n`,
);
if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
