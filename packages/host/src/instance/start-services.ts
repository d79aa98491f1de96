import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Service } from "@hardshare/protocol";
import { makePrivateFolder } from "@hardshare/runtime";
import { resolveCommand } from "../programs/command-line.ts";
import { startProgram } from "../programs/run-program.ts";
import { InstanceService } from "../services/instance-service.ts";
import { ServicePump } from "../services/service-pump.ts";
import { ServiceTap } from "../taps/service-tap.ts";
import { makeTapFolder, tapFolder } from "../taps/tap-folders.ts";
import { TapLog } from "../taps/tap-log.ts";
import { DeviceFileLink } from "./device-file/device-file-link.ts";
import type { StepContext } from "./execute.ts";
import { filterArguments, isFilter, startsPrograms } from "./filter-arguments.ts";
import type { InstanceParts } from "./instance-parts.ts";

/** Starts the services of the contract, each with its way in. @throws AppError as `InstanceService.start` */
export async function startServices(parts: InstanceParts, { signal }: StepContext): Promise<void> {
  const { contract, tools, facts } = parts;
  if (contract.services.some(isFilter)) await makePrivateFolder(parts.stateFolder);
  if (contract.services.some((service) => service.tap)) await makeTapFolder(tools.stateFolder, facts.instanceId);
  const places = parts.servicePlaces;
  // All are waited for, so that none starts after the step has failed and is being undone.
  const results = await Promise.allSettled(
    contract.services.map(async (service, index) => {
      const running = await startService(parts, service, signal);
      parts.services.push(running);
      if (signal.aborted) running.cut(); // too late: those before it are cut already
      const socket = places[index]?.socket;
      if (!parts.isProxy && socket !== undefined) parts.pumps.push(await ServicePump.listen(join(parts.folder, socket), running));
      parts.pumps.push(...linkDeviceFiles(parts, running));
    }),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Carries what programs in the container write to the device file of a service, if it has one, and back. */
function linkDeviceFiles(parts: InstanceParts, service: InstanceService): DeviceFileLink[] {
  const { clock, random } = parts.tools;
  return parts.deviceFilePlaces
    .filter(({ name }) => name === service.name)
    .map(({ inside, socket }) => {
      const onLost = () => parts.events.onDeviceFileLost(inside);
      return new DeviceFileLink({ socket, dial: () => service.dial(), clock, random, onLost });
    });
}

async function startService(parts: InstanceParts, service: Service, signal: AbortSignal): Promise<InstanceService> {
  const { tools, events } = parts;
  const { name } = service;
  const tap = service.tap ? await openTap(parts, name) : undefined;
  try {
    return await InstanceService.start(
      {
        name,
        launch: () => launchService(parts, service),
        givesPulses: isFilter(service),
        tap,
        clock: tools.clock,
        random: tools.random,
        onOutput: (text) => events.onServiceOutput(name, text),
        onReport: (report) => events.onServiceReport(name, report),
        onLost: (how) => events.onServiceLost(name, how),
        onEnded: (why) => events.warn(why),
        onRestored: () => events.onServiceRestored(name),
      },
      signal,
    );
  } catch (error) {
    await tap?.[Symbol.asyncDispose]();
    throw error;
  }
}

async function openTap(parts: InstanceParts, service: string): Promise<ServiceTap> {
  const { tools, events, facts } = parts;
  const log = await TapLog.open({
    base: join(tapFolder(tools.stateFolder, facts.instanceId), service),
    clock: tools.clock,
    onFailure: (message) => events.warn(`service ${service}: ${message}`),
  });
  return new ServiceTap({ log, onChunk: (direction, chunk) => events.onServiceTapped(service, direction, chunk) });
}

/** Starts the process of a service; a filter's is, if possible, the one that waits. */
async function launchService(parts: InstanceParts, service: Service): Promise<ChildProcess> {
  const { tools, facts, stateFolder } = parts;
  const { folder } = facts.loaded;
  const { selfCommand, spareFilter } = tools;
  const place = parts.placeFor("service");
  if (!isFilter(service)) return startProgram(await resolveCommand(service.command, place), place, "ignore");
  const args = filterArguments(service, { contract: folder, state: stateFolder, tap: tapFolder(tools.stateFolder, facts.instanceId) });
  const spare = startsPrograms(service) ? undefined : await spareFilter.take(args); // it was started for no instance
  return spare ?? startProgram([...selfCommand, "filter", "run", ...args], place, "ignore");
}
