import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { AppError } from "@hardshare/protocol";
import { tapFiles } from "./tap-log.ts";
import { tapFolder } from "./tap-folders.ts";
import { TapRecord } from "./tap-record.ts";

/**
 * The records of the taps of one instance, service by service, the oldest first.
 * @param options.service only of this one
 * @throws AppError `not_found` when there is no such tap
 */
export async function* readTaps(options: {
  state: string;
  instanceId: string;
  service?: string | undefined;
}): AsyncGenerator<{ service: string; record: TapRecord }> {
  const { state, instanceId } = options;
  const folder = tapFolder(state, instanceId);
  const all = await tappedServices(folder);
  const services = options.service === undefined ? all : all.filter((service) => service === options.service);
  if (services.length === 0) {
    throw new AppError(
      "not_found",
      `instance ${instanceId} has no tap${options.service === undefined ? "" : ` of service ${options.service}; it has ${all.join(", ")}`}`,
    );
  }
  for (const service of services) {
    const { newer, older } = tapFiles(join(folder, service));
    for (const file of [older, newer]) for await (const record of readRecords(file)) yield { service, record };
  }
}

async function tappedServices(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => /^[A-Z0-9_]+\.tap$/.test(name))
    .map((name) => name.slice(0, -".tap".length))
    .toSorted();
}

/** A line that is torn, because the daemon was killed or is writing it now, is left out. */
async function* readRecords(file: string): AsyncGenerator<TapRecord> {
  try {
    for await (const line of createInterface(createReadStream(file))) {
      const record = readRecord(line);
      if (record !== undefined) yield record;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // most have not become so long
  }
}

function readRecord(line: string): TapRecord | undefined {
  try {
    return TapRecord.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
