import { type Clock, noFailpoints, silentLogger, systemRandom } from "@hardshare/runtime";
import { checkPrograms } from "../contract/check-programs.ts";
import { loadContract } from "../contract/load-contract.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { instanceWorks } from "../instance/instance-works.ts";
import { PacketRules } from "../network/packet-rules.ts";
import { runLifecycleProgram } from "../programs/run-program.ts";
import { SpareFilter } from "../services/spare-filter.ts";
import { InstanceTunnel } from "../tunnels/instance-tunnel.ts";

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
    stateFolder: "/nowhere",
    socketFolder: "/nowhere",
    packetRules: new PacketRules({ table: "none", environment: {}, clock, random: systemRandom, logger }),
    loadContract,
    checkPrograms: (loaded) => checkPrograms(loaded, {}),
    runProgram: runLifecycleProgram,
    works: instanceWorks,
    openTunnel: (tunnel) => new InstanceTunnel({ ...tunnel, privateKey: "", clock, random: systemRandom, logger }),
    engine: () => Promise.reject(new Error("there is no engine")),
    time: () => ({ wallMs: clock.now(), uptimeMs: clock.monotonicMs(), bootId: "boot" }),
    clock,
    random: systemRandom,
    failpoints: noFailpoints,
    logger,
    ...given,
  };
}
