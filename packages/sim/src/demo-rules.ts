import { shippedPath } from "@hardshare/runtime";

/** Path of the filter rules for the simulated robot: what the demo puts before it. */
export function demoRulesPath(): string {
  return shippedPath(import.meta.url, { inProgram: "demo/robot.rules.yaml", inCheckout: "../demo/robot.rules.yaml" });
}
