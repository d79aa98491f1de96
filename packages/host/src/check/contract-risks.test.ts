import type { CheckEvent } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { parseContract } from "../contract/load-contract.ts";
import { findContractRisks } from "./contract-risks.ts";
import { Findings } from "./findings.ts";

function risks(text: string): string[] {
  const found: string[] = [];
  const emit = (event: CheckEvent) => event.kind === "finding" && found.push(event.finding.code);
  findContractRisks(parseContract(text, "robot.yaml", "/").contract, new Findings({ deployment: "robot", failFast: false, emit }));
  return found;
}

const CARED_FOR = "safe_state: [./safe.sh]\nbaseline: [./clean.sh]\n";
const ARM = "services: [{ name: ARM, filter: serial, target: /dev/serial/by-id/arm, rules: arm.yaml }]\n";

test("a contract that constrains the hardware and cares for it has no risk", () => {
  expect(risks(`${ARM}${CARED_FOR}dead_man: 2s\n`)).toEqual([]);
});

test("an empty contract gives nothing", () => {
  expect(risks("")).toEqual(["nothing_given"]);
});

test.each([
  [`devices: [/dev/video0]\n${CARED_FOR}`, ["unfiltered_devices"]],
  [`devices: [/dev/ttyACM0]\n${CARED_FOR}`, ["unfiltered_devices", "device_reenumerates"]],
  [`${ARM.replace("/dev/serial/by-id/arm", "/dev/ttyUSB0")}${CARED_FOR}`, ["device_reenumerates"]],
  [`${ARM.replace("rules:", "device: /dev/ttyUSB0, rules:")}${CARED_FOR}`, ["pty_no_reset"]],
  [`${ARM}${CARED_FOR}terminate: [{ run: ./erase.sh, on_fail: warn }]\n`, ["failure_waived"]],
  [`${ARM}${CARED_FOR}init: [{ run: ./home.sh, on_fail: warn }]\n`, []],
  [`${ARM}baseline: [./clean.sh]\n`, ["safe_state_missing"]],
  [`${ARM}baseline: [./clean.sh]\ndead_man: 2s\n`, ["safe_state_missing", "dead_man_unsafe"]],
  [`${ARM}safe_state: [./safe.sh]\n`, ["no_baseline"]],
  [`network: open\n${ARM}${CARED_FOR}`, ["network_open"]],
  [`provider: proxy\npublic_port: true\n${ARM}${CARED_FOR}`, ["public_port_open"]],
])("what a contract leaves open is told: %j", (text, codes) => {
  expect(risks(text)).toEqual(codes);
});
