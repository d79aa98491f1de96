import type { DesiredEndpoint, EndpointReport, HubDesired } from "@hardshare/protocol";
import { Endpoint, type EndpointOptions } from "./endpoint.ts";

export type EndpointsOptions = Omit<EndpointOptions, "desired">;

/**
 * The endpoints of a hub. Applying a desired state twice changes nothing. A deployment has one endpoint: one of a
 * higher epoch replaces it, one of a lower epoch is refused, also when the higher one is already closed.
 */
export class Endpoints implements Disposable {
  readonly #options: EndpointsOptions;
  readonly #byInstance = new Map<string, Endpoint>();
  readonly #byDeployment = new Map<string, Endpoint>();
  /** The fence: highest epoch so far of each deployment, with its instance. */
  readonly #highest = new Map<string, { epoch: number; instanceId: string }>();

  constructor(options: EndpointsOptions) {
    this.#options = options;
  }

  apply({ full, endpoints, closed }: HubDesired): void {
    for (const { instanceId, epoch } of closed) this.#close(instanceId, epoch);
    if (full) {
      const wanted = new Set(endpoints.map((endpoint) => endpoint.instanceId as string));
      for (const endpoint of this.#byInstance.values()) if (!wanted.has(endpoint.instanceId)) this.#end(endpoint);
    }
    for (const desired of endpoints) this.#open(desired);
  }

  get(instanceId: string): Endpoint | undefined {
    return this.#byInstance.get(instanceId.toLowerCase());
  }

  /** Where each stands, as far as it is known. */
  reports(): EndpointReport[] {
    return [...this.#byInstance.values()].flatMap((endpoint) => endpoint.report ?? []);
  }

  /** Closes all. */
  [Symbol.dispose](): void {
    for (const endpoint of this.#byInstance.values()) this.#end(endpoint);
  }

  #open(desired: DesiredEndpoint): void {
    const { instanceId, epoch, deploymentId, publicPort } = desired;
    const current = this.#byInstance.get(instanceId);
    if (current?.epoch === epoch) return current.update(desired);
    const highest = this.#highest.get(deploymentId);
    const isStale = highest !== undefined && (epoch < highest.epoch || (epoch === highest.epoch && instanceId !== highest.instanceId));
    if (isStale) {
      const message = `epoch ${highest.epoch} of this deployment was here already`;
      this.#options.onReport({ type: "endpoint", instanceId, epoch, publicPort, status: "closed", message, highestEpoch: highest.epoch });
      return;
    }
    this.#highest.set(deploymentId, { epoch, instanceId });
    for (const former of [current, this.#byDeployment.get(deploymentId)]) if (former !== undefined) this.#end(former);
    const endpoint = new Endpoint({ ...this.#options, desired });
    this.#byInstance.set(instanceId, endpoint);
    this.#byDeployment.set(deploymentId, endpoint);
  }

  #close(instanceId: DesiredEndpoint["instanceId"], epoch: number): void {
    const endpoint = this.#byInstance.get(instanceId);
    if (endpoint !== undefined && endpoint.epoch <= epoch) return this.#end(endpoint);
    // Closed before, or never opened: say so again.
    if (endpoint === undefined) this.#options.onReport({ type: "endpoint", instanceId, epoch, publicPort: null, status: "closed" });
  }

  #end(endpoint: Endpoint): void {
    if (this.#byInstance.get(endpoint.instanceId) === endpoint) this.#byInstance.delete(endpoint.instanceId);
    if (this.#byDeployment.get(endpoint.deploymentId) === endpoint) this.#byDeployment.delete(endpoint.deploymentId);
    endpoint.close();
  }
}
