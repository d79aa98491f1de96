import type { Contract } from "@hardshare/protocol";
import type { Findings } from "./findings.ts";

/** Lists whose failures mean that the hardware may not be as it has to be. */
const UNDOING = ["terminate", "baseline", "safe_state"] as const;

/** A name that the kernel gives a USB serial device by the order in which they appear. */
const NUMBERED = /^\/dev\/tty(?:ACM|USB)\d+$/;

/** What a valid contract leaves open: risks that its owner should know of. */
export function findContractRisks(contract: Contract, findings: Findings): void {
  const { devices, services, safe_state: safeState } = contract;
  const hasHardware = devices.length > 0 || services.length > 0;
  if (!hasHardware) findings.add("nothing_given", "the contract has neither `devices` nor `services`: instances get an isolated container");
  if (devices.length > 0) findings.add("unfiltered_devices", `nothing constrains what instances do with ${devices.join(", ")}`);
  if (contract.network === "open") findings.add("network_open", "the contract says `network: open`");
  if (contract.public_port) findings.add("public_port_open", "the contract says `public_port: true`");
  for (const list of UNDOING) {
    for (const program of contract[list].filter((each) => each.on_fail === "warn")) {
      findings.add("failure_waived", `${list}: ${program.run} has \`on_fail: warn\``);
    }
  }
  if (hasHardware && safeState.length === 0) {
    findings.add("safe_state_missing", "the contract gives hardware, and has no `safe_state`");
    if (contract.dead_man !== undefined) findings.add("dead_man_unsafe", "the contract has `dead_man`, and no `safe_state`");
  }
  if (hasHardware && contract.baseline.length === 0) findings.add("no_baseline", "the contract gives hardware, and has no `baseline`");
  for (const path of devices.filter((each) => NUMBERED.test(each))) {
    findings.add("device_reenumerates", `devices: ${path} may be another device, or none, after it was plugged in again or reset`);
  }
  for (const service of services) {
    if (service.filter !== "serial") continue;
    if (NUMBERED.test(service.target)) {
      findings.add("device_reenumerates", `${service.name}: ${service.target} may be another device after it was plugged in again`);
    }
    if (service.device !== undefined)
      findings.add("pty_no_reset", `${service.name}: ${service.device} inside is a terminal without modem lines`);
  }
}
