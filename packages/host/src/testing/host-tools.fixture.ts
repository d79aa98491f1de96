import { type Clock, noFailpoints, silentLogger, systemRandom } from "@hardshare/runtime";
import type { HostTools } from "../instance/instance-parts.ts";
import { SpareFilter } from "../services/spare-filter.ts";

/** What instances of a host share, for what starts no process and needs no engine unless told otherwise. */
export function makeHostTools(clock: Clock, given: Partial<HostTools> = {}): HostTools {
  const logger = silentLogger;
  return {
    hostId: systemRandom.uuid(),
    privateKey: "",
    selfCommand: [],
    spareFilter: new SpareFilter({ selfCommand: [], place: { folder: "/", env: {}, launcher: [] }, clock, logger }),
    environment: {},
    launcher: [],
    socketFolder: "/nowhere",
    engine: () => Promise.reject(new Error("there is no engine")),
    time: () => ({ wallMs: clock.now(), uptimeMs: clock.monotonicMs(), bootId: "boot" }),
    clock,
    random: systemRandom,
    failpoints: noFailpoints,
    logger,
    ...given,
  };
}
