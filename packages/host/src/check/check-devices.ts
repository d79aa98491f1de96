import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import type { Contract } from "@hardshare/protocol";
import type { Findings } from "./findings.ts";

/** Devices that one program alone can use. */
const SERIAL = /^\/dev\/(?:tty|pts\/|rfcomm)/;

/**
 * Looks whether the devices of a contract are there and can be used.
 * @param isHeld an instance has them open
 */
export async function checkDevices(contract: Contract, isHeld: boolean, findings: Findings): Promise<void> {
  const targets = contract.services.flatMap((service) =>
    service.filter === "serial" ? [{ where: service.name, path: service.target }] : [],
  );
  const given = contract.devices.map((path) => ({ where: "devices", path }));
  for (const device of [...given, ...targets]) await checkDevice(device, isHeld, findings);
}

async function checkDevice({ where, path }: { where: string; path: string }, isHeld: boolean, findings: Findings): Promise<void> {
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined) return findings.add("device_missing", `${where}: ${path} is not there`);
  if (!facts.isCharacterDevice() && !facts.isBlockDevice()) return findings.add("device_wrong_type", `${where}: ${path} is no device file`);
  const isPermitted = await access(path, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!isPermitted) return findings.add("device_not_permitted", `${where}: this user may not read and write ${path}`);
  if (isHeld || !SERIAL.test(await realpath(path))) return;
  const { findOpeners } = await import("@hardshare/filters");
  const openers = await findOpeners(path);
  if (openers.length > 0) findings.add("device_busy", `${where}: ${path} is held open by ${openers.join(", ")}`);
}
