import { AppError, type InstanceId } from "@hardshare/protocol";
import { type FirewallStore, MAX_FIREWALL_RULES } from "../stores/firewalls.ts";
import type { Data } from "./data.ts";
import { firewallOf } from "./instance-rows.ts";
import type { OnData } from "./on-data.ts";

export const firewalls: OnData<FirewallStore> = {
  get(data, instanceId) {
    const instance = data.instances.get(instanceId);
    return instance === undefined ? null : firewallOf(data, instance);
  },

  add(data, instanceId, { source, action }) {
    markConfigured(data, instanceId);
    const positions = data.firewallRules.filter((rule) => rule.instanceId === instanceId).map((rule) => rule.position);
    if (positions.length >= MAX_FIREWALL_RULES) {
      throw new AppError("conflict", `this instance has ${MAX_FIREWALL_RULES} firewall rules, which is the most; flush them first`);
    }
    data.firewallRules.put({ instanceId, position: Math.max(0, ...positions) + 1, source, action });
  },

  flush(data, instanceId) {
    markConfigured(data, instanceId);
    for (const rule of data.firewallRules.filter((each) => each.instanceId === instanceId)) data.firewallRules.delete(rule);
  },
};

function markConfigured(data: Data, instanceId: InstanceId): void {
  const instance = data.instances.get(instanceId);
  if (instance === undefined) throw new AppError("not_found", "instance not found");
  data.instances.put({ ...instance, isFirewallConfigured: true });
}
